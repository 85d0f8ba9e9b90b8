"""What is computed by column or by sorting equals its definition, on a made-up run with all that runs have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from synthetic import write_synthetic_run

import results
from results.analysis import replicate_groups as of
from results.analysis.control_comparison import SAME_BYTES_RATIO, study_table
from results.analysis.front_probability import NUM_ROUNDS, seed_model
from results.analysis.pareto_info import pareto_info
from results.analysis.published_figures import FIGURES, Scale, load_published
from results.tables.load import Tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return results.load(write_synthetic_run(tmp_path_factory.mktemp("run"), 400, points=5))


def test_rows_are_what_pandas_makes_of_each_cell(tables: Tables) -> None:
    """Every value of every column, None where it is missing, in Python's own types; some columns are those of all."""
    plain = tables.trials.astype(object)
    expected = plain.where(plain.notna(), None).to_dict("records")
    rows = of.to_rows(tables.trials)
    assert rows == expected
    assert [[type(value) for value in row.values()] for row in rows] == [
        [type(value) for value in row.values()] for row in expected
    ]
    assert of.to_rows(tables.trials, ["ce", "status"]) == [{"ce": row["ce"], "status": row["status"]} for row in rows]


def test_keys_of_controls_are_equal_where_all_shared_settings_are(tables: Tables) -> None:
    """The numbers of a table's trials split it as the keys of its rows do; a trial that is not known has neither."""
    trials = tables.trials.copy()
    trials.loc[trials.index[3], "cfg_train_steps"] = None
    pairs = list(zip(of.control_keys(trials), map(of.control_key, of.to_rows(trials)), strict=True))
    assert len(set(pairs)) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
    assert pairs[3] == (None, None) and sum(one is None for one, _ in pairs) == 1
    split = of.control_keys(trials, ["accelerator"])
    assert len(set(split)) > len({one for one, _ in pairs})


def test_the_learned_model_of_the_same_bytes_is_the_nearest_of_all(tables: Tables) -> None:
    """Found by sorting, it is the one that comes nearest of all learned models that are alike but for shape."""
    trials = tables.trials.assign(cfg_optimizer_learning_rate=0.03)
    info = pareto_info(Tables(trials, tables.curves))
    table = study_table(Tables(trials, tables.curves), load_published(FIGURES), Scale(), info)
    learned = [group for group in info.groups if group.recipe == "baseline" and group.artifact_bytes]
    named = 0
    for row in table.rows:
        group = next(one for one in info.groups if one.label == row.label)
        ratios = {
            one.label: one.artifact_bytes / group.artifact_bytes
            for one in learned
            if one.artifact_bytes
            and group.artifact_bytes
            and one.settings["cfg_artifact_matrix_bits"] == group.settings["cfg_artifact_matrix_bits"]
        }
        near = {label: ratio for label, ratio in ratios.items() if abs(math.log(ratio)) <= math.log(SAME_BYTES_RATIO)}
        if row.is_control or not near:
            assert row.same_bytes is None
        else:
            assert row.same_bytes is not None
            assert row.same_bytes.label == min(near, key=lambda label: abs(math.log(near[label])))
            assert row.same_bytes.ratio == near[row.same_bytes.label]
            named += 1
    assert named > 30


def test_a_study_table_needs_no_front_of_its_own_where_it_is_known(tables: Tables) -> None:
    """The same with and without; a front of other objectives is not taken for it."""
    figures = load_published(FIGURES)
    alone = study_table(tables, figures, Scale())
    assert study_table(tables, figures, Scale(), pareto_info(tables)) == alone
    assert study_table(tables, figures, Scale(), pareto_info(tables, {"ce": "min", "tokens_per_s": "max"})) == alone


def test_effects_of_seeds_are_medians_in_turns(tables: Tables) -> None:
    """The fit on arrays gives the bits of the same fit written as loops."""
    groups = pareto_info(tables).groups
    scores = [{one.seed or 0: one.ce for one in group.replicates} for group in groups]
    model = seed_model(scores)
    assert model is not None and model.effects == _effects([one for one in scores if len(one) >= 2])


def _effects(scores: Sequence[Mapping[int, float]]) -> dict[int, float]:
    effects = dict.fromkeys(sorted({seed for by_seed in scores for seed in by_seed}), 0.0)
    for _ in range(NUM_ROUNDS):
        rests: dict[int, list[float]] = {}
        for by_seed in scores:
            mean = sum(value - effects[seed] for seed, value in by_seed.items()) / len(by_seed)
            for seed, value in by_seed.items():
                rests.setdefault(seed, []).append(value - mean)
        effects |= {seed: float(np.median(values)) for seed, values in rests.items()}
    return effects
