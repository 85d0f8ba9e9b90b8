"""All seeds of a config on one kind of accelerator: by which kind, until when, and what a resume remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.scheduling.one_kind import SECONDS_UNTIL_GONE, OneKind, kind_to_use
from orchestrator.scheduling.placement import CPU, Node, Pool, choose
from orchestrator.search.planner import PlannedTrial
from trainer.config.trial import TrialConfig

H100 = Node(node_id="h", kind="H100", cpus=8, gpus=1)
A40 = Node(node_id="a", kind="A40", cpus=8, gpus=2)
PLAIN = Node(node_id="c", kind=CPU, cpus=2, gpus=0)
CONFIGS = [TrialConfig(), TrialConfig.model_validate({"train": {"steps": 77}})]


def trial(config: int, seed: int, accelerator: str = "any", gpus: float | None = None) -> PlannedTrial:
    made = CONFIGS[config].model_copy(update={"seed": seed})
    return PlannedTrial(
        config=made, accelerator=accelerator, cpus=1, gpus=gpus, trial_id=f"{config}-s{seed}-{accelerator}-{gpus}"
    )


def row(one: PlannedTrial, kind: str | None, status: str = "completed") -> dict[str, Any]:
    return {"trial_id": one.trial_id, "status": status, "accelerator": kind}


def kinds_of(kinds: OneKind, one: PlannedTrial, nodes: Sequence[Node], now: float = 0.0) -> list[str] | None:
    found = kinds.at(Pool(nodes), now)(one)
    return None if found is None else list(found)


def test_the_kind_of_most_seeds_that_is_still_there() -> None:
    """Else that of the seed that began first; none before any has begun, or when all kinds have gone."""
    assert kind_to_use([], lambda kind: False) is None
    assert kind_to_use(["A40", "H100"], lambda kind: False) == "A40"
    assert kind_to_use(["A40", "H100", "H100"], lambda kind: False) == "H100"
    assert kind_to_use(["A40", "H100", "H100"], lambda kind: kind == "H100") == "A40"
    assert kind_to_use(["A40"], lambda kind: True) is None


def test_the_second_seed_waits_for_the_kind_of_the_first() -> None:
    """It is placed there though another kind is free; another config, and a config's other resources, are not held."""
    kinds = OneKind()
    kinds.placed(trial(0, 1), "A40")
    assert kinds_of(kinds, trial(0, 2), [H100, A40]) == ["A40"]
    assert kinds_of(kinds, trial(1, 2), [H100, A40]) is None
    assert kinds_of(kinds, trial(0, 2, "A40,H100"), [H100, A40]) is None
    assert kinds_of(kinds, trial(0, 2, gpus=0.5), [H100, A40]) is None


def test_a_trial_is_not_held_to_its_own_kind() -> None:
    """When its worker has died it may go elsewhere, unless another seed has begun."""
    kinds = OneKind()
    kinds.placed(trial(0, 1), "A40")
    assert kinds_of(kinds, trial(0, 1), [H100, A40]) is None
    kinds.placed(trial(0, 2), "A40")
    kinds.ended(trial(0, 1), None)
    assert kinds_of(kinds, trial(0, 1), [H100, A40]) == ["A40"]


def test_seeds_without_a_score_hold_nobody() -> None:
    """A lost attempt, and trials that failed, diverged or ran out of memory, have nothing to be paired with."""
    for status in ("failed", "diverged", "out_of_memory"):
        kinds = OneKind()
        kinds.placed(trial(0, 1), "A40")
        kinds.ended(trial(0, 1), row(trial(0, 1), "A40", status))
        assert kinds_of(kinds, trial(0, 2), [H100, A40]) is None
    kinds = OneKind()
    kinds.placed(trial(0, 1), "A40")
    kinds.ended(trial(0, 1), None)
    assert kinds_of(kinds, trial(0, 2), [H100, A40]) is None


def test_rows_of_earlier_calls_count() -> None:
    """After a resume the third seed goes where the first two ran; rows of what is no longer planned are left out."""
    kinds = OneKind()
    seeds = [trial(0, seed) for seed in (1, 2, 3)]
    rows = [row(seeds[0], "H100"), row(seeds[1], "H100", "deadline"), {"trial_id": "gone", "status": "completed"}]
    kinds.remember(seeds, rows)
    assert kinds_of(kinds, seeds[2], [A40, H100]) == ["H100"]


def test_a_kind_that_has_left_for_good_holds_nobody() -> None:
    """Its seeds wait three minutes, then go anywhere, and a note says so once."""
    notes: list[str] = []
    kinds = OneKind(notes.append)
    for config in (0, 1):
        kinds.placed(trial(config, 1), "A40")
    assert kinds_of(kinds, trial(0, 2), [H100], now=1000.0) == ["A40"]
    assert kinds_of(kinds, trial(0, 2), [H100], now=999.0 + SECONDS_UNTIL_GONE) == ["A40"]
    assert not notes
    for config in (0, 1):
        assert kinds_of(kinds, trial(config, 2), [H100], now=1000.0 + SECONDS_UNTIL_GONE) is None
    assert len(notes) == 1 and notes[0].startswith("A40 has been away for 180 s: configs that have seeds on it")
    kinds.placed(trial(0, 2), "H100")
    assert kinds_of(kinds, trial(0, 3), [H100], now=1001.0 + SECONDS_UNTIL_GONE) == ["H100"]


def test_a_kind_that_comes_back_in_time_holds_as_before() -> None:
    """The three minutes begin anew each time."""
    kinds = OneKind()
    kinds.placed(trial(0, 1), "A40")
    for now in (0.0, 170.0):
        assert kinds_of(kinds, trial(0, 2), [H100], now=now) == ["A40"]
    assert kinds_of(kinds, trial(0, 2), [H100, A40], now=175.0) == ["A40"]
    assert kinds_of(kinds, trial(0, 2), [H100], now=190.0) == ["A40"]


def test_a_kind_whose_nodes_are_too_small_has_gone() -> None:
    """The large A40 node left, a small one stays: who needs both cards waits no longer than for a lost kind."""
    kinds, small = OneKind(), Node(node_id="small", kind="A40", cpus=8, gpus=1)
    kinds.placed(trial(0, 1, gpus=2), "A40")
    assert kinds_of(kinds, trial(0, 2, gpus=2), [H100, small], now=0.0) == ["A40"]
    assert kinds_of(kinds, trial(0, 2, gpus=2), [H100, small], now=SECONDS_UNTIL_GONE) is None


def test_on_one_kind_nothing_is_decided() -> None:
    """No id of a config is made for trials that wait, of which there may be thousands."""
    kinds = OneKind()
    kinds.placed(trial(0, 1), CPU)
    bare = PlannedTrial(config=None, accelerator="any", cpus=1, gpus=None, trial_id="t")  # type: ignore[arg-type]
    assert kinds_of(kinds, bare, [PLAIN]) is None


TEN_TRIALS = [(config, seed) for config in (0, 1) for seed in range(5)]


@given(st.lists(st.sampled_from(["end", "lose"]), max_size=40), st.permutations(TEN_TRIALS))
def test_in_a_pool_that_stays_all_seeds_of_a_config_run_on_one_kind(
    events: list[str], order: list[tuple[int, int]]
) -> None:
    """In whatever order trials wait, end, or are lost: no two scored seeds of one config are on two kinds."""
    kinds, pool = OneKind(), Pool([H100, A40, PLAIN])
    waiting = [trial(config, seed) for config, seed in order]
    running: list[tuple[PlannedTrial, str]] = []
    done: list[tuple[PlannedTrial, str]] = []
    for number, event in enumerate([*events, *["end"] * 40]):
        while (choice := choose(waiting, pool, kinds_of=kinds.at(pool, float(number)))) is not None:
            one, slot = choice
            pool.acquire(one.trial_id, slot)
            kinds.placed(one, slot.kind)
            waiting.remove(one)
            running.append((one, slot.kind))
        if not running:
            continue
        one, kind = running.pop(0)
        pool.release(one.trial_id)
        kinds.ended(one, row(one, kind) if event == "end" else None)
        (done if event == "end" else waiting).append((one, kind) if event == "end" else one)  # type: ignore[arg-type]
    assert len(done) == 10
    for config in (0, 1):
        assert len({kind for one, kind in done if one.config.train.steps == CONFIGS[config].train.steps}) == 1
