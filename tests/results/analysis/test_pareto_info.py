"""Groups, feasibility, fronts and controls: what a comparison may claim and when it must stay silent."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from trial_builder import CODE_BYTES, make_tables, make_trial, quickstart_trials

from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.replicate_groups import Group
from results.errors import ResultsError


def only(info: ParetoInfo) -> Group:
    (group,) = info.groups
    return group


def by_recipe(info: ParetoInfo) -> dict[str, Group]:
    return {str(group.recipe): group for group in info.groups}


def test_replicates_make_a_group() -> None:
    """Trials alike but for the seed are one group: mean and interval over seeds, the largest artifact."""
    group = only(
        pareto_info(make_tables([make_trial(seed=s, ce=3.0 + s / 10, artifact_bytes=100 * s) for s in (1, 2, 3)]))
    )
    assert (group.ce.num, group.artifact_bytes) == (3, 300)
    assert group.ce.mean == pytest.approx(3.2) and group.ce.std == pytest.approx(0.1)
    assert group.ce.half_width == pytest.approx(4.302653 * 0.1 / math.sqrt(3))


def test_a_config_fits_only_if_all_its_artifacts_fit() -> None:
    """One seed over the limit makes the config infeasible, though the mean would fit; the limit itself fits."""
    trials = [make_trial(seed=1), make_trial(seed=2, total_bytes=16_000_001)]
    info = pareto_info(make_tables(trials))
    assert only(info).feasible is False and info.front == ()
    trials[1]["total_bytes"] = 16_000_000
    assert only(pareto_info(make_tables(trials))).feasible is True


def test_the_code_counts_against_the_limit() -> None:
    """An artifact that would fit alone does not fit with the code that scores it."""
    trial = make_trial(artifact_bytes=16_000_000 - CODE_BYTES)
    assert only(pareto_info(make_tables([trial]))).feasible is True
    assert only(pareto_info(make_tables([make_trial(artifact_bytes=16_000_000)]))).feasible is False


def test_a_refused_replicate_counts_against_its_config() -> None:
    """A replicate of status infeasible breaks the config if its bytes do, and leaves it unknown if it has none."""
    fits = make_trial(total_bytes=15_999_999)
    refused = make_trial(seed=2, ce=None, status="infeasible", total_bytes=16_000_001)
    assert only(pareto_info(make_tables([fits, refused]))).feasible is False
    refused |= {"total_bytes": None, "data_sha256": None}
    info = pareto_info(make_tables([fits, refused]))
    assert only(info).feasible is None and info.front == ()
    assert any("lack a value that a constraint needs" in note for note in info.notes)


def test_only_completed_trials_count_and_the_others_are_told() -> None:
    """Trials of any other status, or without CE, give no number; they are counted by reason and by group."""
    trials = [
        make_trial(),
        make_trial(seed=2, status="diverged", ce=math.nan),
        make_trial(seed=3, status="stopped_early", ce=1.0),
        make_trial(seed=4, ce=None),
        make_trial("selective", status="failed", ce=None),
    ]
    info = pareto_info(make_tables(trials))
    assert only(info).ce.mean == 3.2 and only(info).num_not_completed == 3
    assert info.status_counts == {"completed": 2, "stopped_early": 1, "diverged": 1, "failed": 1}
    assert info.not_counted == {"completed without ce": 1, "stopped_early": 1, "diverged": 1, "failed": 1}
    assert any("replicates that gave no score" in note for note in info.notes)


def test_configs_are_best_first_by_the_loss_that_is_an_objective() -> None:
    """By bpb where the search was for bpb, what lacks it last; else by ce."""
    rows = [(3.0, 2.0), (4.0, 1.5), (2.0, None)]
    trials = [make_trial(layers=i, ce=ce, bpb=bpb) for i, (ce, bpb) in enumerate(rows, 1)]
    by_bpb = pareto_info(make_tables(trials), {"bpb": "min", "artifact_bytes": "min"})
    assert [group.ce.mean for group in by_bpb.groups] == [4.0, 3.0, 2.0]
    for goals in ({"ce": "min"}, {"ce": "min", "bpb": "min"}, {"artifact_bytes": "min"}):
        assert [group.ce.mean for group in pareto_info(make_tables(trials), goals).groups] == [2.0, 3.0, 4.0]  # type: ignore[arg-type]


def test_one_seed_twice_is_no_second_witness() -> None:
    """Two runs of one seed (on two kinds of device, say) are averaged and count as one."""
    trials = [make_trial(ce=3.0, accelerator="A40"), make_trial(ce=3.2, accelerator="H100", trial_id="again")]
    group = only(pareto_info(make_tables(trials)))
    assert (group.ce.num, group.ce.half_width) == (1, None) and group.ce.mean == pytest.approx(3.1)


def test_throughput_is_kept_per_accelerator() -> None:
    """Speeds of different kinds of device are never averaged."""
    speeds = {("A40", 1): 100.0, ("A40", 2): 200.0, ("H100", 3): 1000.0}
    trials = [make_trial(seed=seed, accelerator=kind, tokens_per_s=speed) for (kind, seed), speed in speeds.items()]
    assert only(pareto_info(make_tables(trials))).tokens_per_s == {"A40": 150.0, "H100": 1000.0}


def test_front_among_the_feasible() -> None:
    """The best CE is not on the front if its artifact is too large; dominated configs have a later rank."""
    trials = [
        make_trial(layers=12, ce=2.0, artifact_bytes=17_000_000),
        make_trial(layers=8, ce=3.0, artifact_bytes=5_000_000),
        make_trial(layers=7, ce=3.1, artifact_bytes=6_000_000),
        make_trial(layers=6, ce=3.5, artifact_bytes=2_000_000),
    ]
    info = pareto_info(make_tables(trials))
    assert [(group.label, group.rank) for group in info.groups] == [
        ("baseline 12L192d", None),
        ("baseline 8L192d", 0),
        ("baseline 7L192d", 1),
        ("baseline 6L192d", 0),
    ]
    without_limit = pareto_info(make_tables(trials), constraints=())
    assert [group.rank for group in without_limit.groups] == [0, 0, 1, 0]


def test_control_is_paired_by_seed() -> None:
    """The difference is the mean over seeds that both have, not the difference of the means."""
    trials = [make_trial(seed=1, ce=3.0), make_trial(seed=2, ce=4.0), make_trial(seed=3, ce=9.0)]
    trials += [make_trial("selective", seed=1, ce=3.3), make_trial("selective", seed=2, ce=4.8)]
    selective = by_recipe(pareto_info(make_tables(trials)))["selective"]
    assert selective.control is not None and selective.control.ce_pct is not None
    assert selective.control.config_id == "baseline-6-192"
    assert (selective.control.ce_pct.mean, selective.control.ce_pct.num) == (pytest.approx(15.0), 2)


@pytest.mark.parametrize(
    "change",
    [
        {"cfg_train_steps": 301},
        {"cfg_model_dropout": 0.2},
        {"cfg_artifact_matrix_bits": 6},
        {"cfg_model_num_kv_heads": 3},
        {"data": "other"},
        {"data_sha256": "e" * 64},
        {"recipe": "selective", "config_id": "another"},
    ],
)
def test_no_control_is_guessed(change: dict[str, object]) -> None:
    """A baseline that differs in any other setting, or in its data, is no control."""
    info = pareto_info(make_tables([make_trial(**change), make_trial("selective", ce=3.3)]))
    assert all(group.control is None for group in info.groups)


def test_unknown_configs_have_no_control() -> None:
    """Rows whose settings are null (old or foreign files) are not taken for equal; of two candidates none is chosen."""
    unknown = {"cfg_model_dim": None}
    trials = [make_trial(**unknown), make_trial("selective", **unknown)]
    assert by_recipe(pareto_info(make_tables(trials)))["selective"].control is None
    two = [make_trial(config_id="a"), make_trial(config_id="b"), make_trial("selective")]
    assert by_recipe(pareto_info(make_tables(two)))["selective"].control is None


def test_pairs_share_the_accelerator() -> None:
    """A control that ran each seed on another kind of device is named, but gives no difference."""
    trials = [make_trial(accelerator="H100"), make_trial("selective", accelerator="A40")]
    control = by_recipe(pareto_info(make_tables(trials)))["selective"].control
    assert control is not None and (control.config_id, control.ce_pct) == ("baseline-6-192", None)


def test_losses_on_different_text_have_fronts_of_their_own() -> None:
    """CE per token on two datasets, or two prints of one dataset, is not ranked together; bits per byte is."""
    trials = [make_trial(ce=3.0, bpb=2.0), make_trial(layers=8, ce=4.0, bpb=3.0, data_sha256="e" * 64)]
    info = pareto_info(make_tables(trials))
    assert [group.on_front for group in info.groups] == [True, True]
    assert info.notes[0].startswith("2 fronts: losses per token")
    both = pareto_info(make_tables(trials), {"bpb": "min", "artifact_bytes": "min"})
    assert [group.on_front for group in both.groups] == [True, False] and both.notes == ()


def test_one_config_on_two_prints_of_the_data_is_two_groups() -> None:
    """A dataset prepared anew under the same name does not mix with the old one."""
    info = pareto_info(make_tables([make_trial(seed=1), make_trial(seed=2, data_sha256="e" * 64)]))
    assert sorted(group.label for group in info.groups) == [
        "baseline 6L192d data dddddd",
        "baseline 6L192d data eeeeee",
    ]


def test_speed_as_objective_splits_by_accelerator() -> None:
    """With tokens per second as objective, each kind of device has its own groups and front."""
    trials = [make_trial(accelerator=kind, seed=seed) for seed, kind in ((1, "A40"), (2, "H100"))]
    info = pareto_info(make_tables(trials), {"ce": "min", "tokens_per_s": "max"})
    assert {group.label: group.on_front for group in info.groups} == {
        "baseline 6L192d A40": True,
        "baseline 6L192d H100": True,
    }


def test_a_front_of_speed_says_of_which_accelerator_it_is() -> None:
    """In every name and in a note, also where all trials ran on one kind; the slower kind's front stays a front."""
    goals: dict[str, Any] = {"ce": "min", "tokens_per_s": "max"}
    speeds = {("A40", 6): 100.0, ("A40", 8): 90.0, ("H100", 6): 1000.0, ("H100", 8): 1100.0}
    trials = [
        make_trial(layers=layers, ce=3.0 + layers / 100, accelerator=kind, tokens_per_s=speed)
        for (kind, layers), speed in speeds.items()
    ]
    info = pareto_info(make_tables(trials), goals)
    assert {group.label for group in info.front} == {
        "baseline 6L192d A40",
        "baseline 6L192d H100",
        "baseline 8L192d H100",
    }
    assert info.kinds == ("A40", "H100") and info.as_dict()["front_per_accelerator"]
    assert "each front is of one accelerator, as tokens_per_s depends on it: A40, H100" in info.notes
    alone = pareto_info(make_tables(trials[:2]), goals)
    assert "each front is of one accelerator, as tokens_per_s depends on it: A40" in alone.notes
    assert pareto_info(make_tables(trials)).kinds == () and not pareto_info(make_tables(trials)).notes


def test_speeds_of_trials_with_neighbours_are_left_out() -> None:
    """Of means and of fronts, with a note that says how many; rows of older versions, which do not say, count."""
    trials = [
        make_trial(seed=1, tokens_per_s=100.0, num_neighbours=0),
        make_trial(seed=2, tokens_per_s=200.0, num_neighbours=None),
        make_trial(seed=3, tokens_per_s=10.0, num_neighbours=1),
        make_trial(layers=8, tokens_per_s=10.0, num_neighbours=3, peak_memory_bytes=5),
    ]
    goals: dict[str, Any] = {"ce": "min", "tokens_per_s": "max"}
    info = pareto_info(make_tables(trials), goals)
    groups = {group.label: group for group in info.groups}
    six, eight = groups["baseline 6L192d"], groups["baseline 8L192d"]
    assert (six.values["tokens_per_s"], six.rank, dict(six.tokens_per_s), six.ce.num) == (150.0, 0, {"CPU": 150.0}, 3)
    assert (eight.values["tokens_per_s"], eight.rank, dict(eight.tokens_per_s)) == (None, None, {})
    assert any(note.startswith("2 of 4 trials shared their device with other trials") for note in info.notes)
    memory = pareto_info(make_tables(trials[3:]), {"ce": "min", "peak_memory_bytes": "min"})
    assert only(memory).values["peak_memory_bytes"] == 5 and only(memory).on_front


def test_missing_objective_is_never_on_the_front() -> None:
    """A group whose objective is unknown for one replicate has no place, and a note says so."""
    trials = [make_trial(bpb=None), make_trial(seed=2), make_trial(layers=8)]
    info = pareto_info(make_tables(trials), {"bpb": "min", "artifact_bytes": "min"})
    assert [(group.label, group.rank) for group in info.groups] == [("baseline 8L192d", 0), ("baseline 6L192d", None)]
    assert any("lack a value of an objective" in note for note in info.notes)


def test_order_of_rows_changes_nothing() -> None:
    """The same trials in another order give the same summary."""
    trials = quickstart_trials()
    shuffled = random.Random(3).sample(trials, len(trials))
    assert pareto_info(make_tables(trials)).as_dict() == pareto_info(make_tables(shuffled)).as_dict()


def test_json_is_strict() -> None:
    """The plain form holds no NaN and no object that JSON does not know."""
    info = pareto_info(
        make_tables([*quickstart_trials(), make_trial(bpb=None, tokens_per_s=None, artifact_bytes=None)])
    )
    plain = json.loads(json.dumps(info.as_dict(), allow_nan=False))
    selective = next(group for group in plain["groups"] if group["label"] == "selective 4L128d")
    assert selective["ce_vs_control_num_pairs"] == selective["num_seeds"] == 2
    assert selective["ce_vs_control_pct"] > 0 and selective["control_config_id"] == "baseline-4-128"


@pytest.mark.parametrize("column", ["cee", "recipe", "started_at"])
def test_objectives_must_be_numbers(column: str) -> None:
    """An objective or constraint that is no numeric column is refused by name, with the nearest spelling."""
    for arguments in ({"objectives": {column: "min"}}, {"constraints": [f"{column} <= 1"]}):
        with pytest.raises(ResultsError, match=f"`{column}` is no numeric column"):
            pareto_info(make_tables([make_trial()]), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match=r"did you mean artifact_bytes\?"):
        pareto_info(make_tables([]), {"artefact_bytes": "min"})
