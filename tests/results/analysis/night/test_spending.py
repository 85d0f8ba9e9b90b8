"""Where the money went: every micro-dollar of the account is in exactly one place."""

from __future__ import annotations

from typing import Any

import pytest
from account_rows import make_attempt, make_node, with_account
from hypothesis import given
from hypothesis import strategies as st
from trial_builder import make_tables, make_trial

from results.analysis.night.spending import COLUMNS, IDLE, LOST, OTHER, spending
from results.analysis.night.uses import DOMINATED, FRONT

PHASES = {"train_seconds": 60.0, "eval_seconds": 20.0, "compile_seconds": 10.0, "pack_seconds": 5.0}


def trial(name: str, status: str = "completed", **changes: Any) -> dict[str, Any]:
    return make_trial(trial_id=name, config_id=name, status=status, **changes)


def test_uses_and_phases_of_a_night() -> None:
    """Front, dominated, lost and idle, in seconds and micro-dollars that add up to what the machine cost."""
    trials = [trial("good", **PHASES), trial("bad"), trial("halted", "stopped_early", ce=None)]
    attempts = [
        make_attempt("good", 0, 50, 1, outcome="lost", usd_lost=50 / 2 * 1e6 // 3600 / 1e6),
        make_attempt("good", 50, 150, 2),
        make_attempt("bad", 150, 250, 3),
        make_attempt("halted", 250, 300, 4),
        make_attempt("canary-0-x", 300, 310, 5),
        make_attempt("gone", 310, 320, 6),
    ]
    nodes = [make_node(0, 400, lost_seconds=25.0)]
    found = spending(with_account(trials, attempts, nodes), [FRONT, DOMINATED, "stopped early"])
    assert found is not None
    assert list(found.uses) == [FRONT, DOMINATED, "stopped early", "not finished", "canary", LOST, IDLE]
    seconds = [round(cost.seconds, 3) for cost in found.uses.values()]
    assert seconds == pytest.approx([125, 100, 50, 10, 10, 25, 80], abs=0.01)
    assert found.total.micro_usd == 111_111 == sum(cost.micro_usd or 0 for cost in found.uses.values())
    assert found.total.seconds == pytest.approx(400)
    assert found.phases["train"].seconds == pytest.approx(60) and found.phases["eval"].seconds == pytest.approx(20)
    assert found.cells[FRONT, OTHER].seconds == pytest.approx(30, abs=0.01)  # 125 held, 95 in phases
    assert sum(found.cells[FRONT, phase].micro_usd or 0 for phase in COLUMNS) == found.uses[FRONT].micro_usd
    assert found.num_trials == {FRONT: 1, DOMINATED: 1, "stopped early": 1, "canary": 1, "not finished": 1}


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**6),
            st.floats(0.01, 1),
            st.floats(0, 1),
            st.lists(st.floats(0, 2_000), min_size=4, max_size=4),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_nothing_is_lost_or_counted_twice(night: list[tuple[int, float, float, list[float]]]) -> None:
    """Whatever was held, lost or spent on what: parts add up to the machines, to the micro-dollar."""
    trials, attempts = [], []
    for i, (micro, share, lost, phases) in enumerate(night):
        trials.append(trial(f"t{i}", **dict(zip(PHASES, phases, strict=True))))
        usd, usd_lost = micro / 1e6, int(micro * lost) / 1e6
        attempts.append(make_attempt(f"t{i}", 0, 1_000 * share, i, share=share, usd=usd, usd_lost=usd_lost))
    paid = sum(micro for micro, *_ in night) + 12_345
    nodes = [make_node(0, 100_000, usd=paid / 1e6)]
    found = spending(with_account(trials, attempts, nodes))
    assert found is not None and found.total.micro_usd == paid
    trials_cost = sum(cost.micro_usd or 0 for cost in found.phases.values())
    assert trials_cost + sum(found.uses[use].micro_usd or 0 for use in (LOST, IDLE) if use in found.uses) == paid
    assert all(cost.micro_usd is not None and cost.micro_usd >= 0 for cost in found.cells.values())
    assert found.total.seconds == pytest.approx(100_000)


def test_half_a_machine_counts_half() -> None:
    """Two trials that share a GPU: each pays half of the seconds, and the rest is idle."""
    halves = [make_attempt(f"t{i}", 0, 100, i, share=0.5, device_seconds=50.0, usd=0.01) for i in range(2)]
    trials = [trial(f"t{i}", train_seconds=100.0) for i in range(2)]
    found = spending(with_account(trials, halves, [make_node(0, 100)]), [DOMINATED] * 2)
    assert found is not None
    assert found.uses[DOMINATED].seconds == pytest.approx(100) and found.uses[IDLE].seconds == pytest.approx(0)
    assert found.phases["train"].seconds == pytest.approx(100)


def test_two_gpus_of_four_are_half_a_machine() -> None:
    """Seconds of devices are brought to seconds of the machine."""
    attempt = make_attempt("t0", 0, 100, share=0.5, device_seconds=200.0)
    found = spending(with_account([trial("t0")], [attempt], [make_node(0, 100, num_gpus=4.0)]), [DOMINATED])
    assert found is not None and found.uses[DOMINATED].seconds == pytest.approx(50)


def test_without_prices_there_are_hours_alone() -> None:
    """What was lost is then told by the machines, and no dollar is guessed."""
    attempts = [
        make_attempt("t0", 0, 100, 1, usd=None, usd_lost=None, outcome="lost"),
        make_attempt("t0", 100, 200, 2, usd=None, usd_lost=None),
    ]
    found = spending(with_account([trial("t0")], attempts, [make_node(0, 300, usd=None, lost_seconds=30.0)]), [FRONT])
    assert found is not None and found.num_unpriced == 1
    assert {use: round(cost.seconds) for use, cost in found.uses.items()} == {FRONT: 170, LOST: 30, IDLE: 100}
    assert found.total.micro_usd is None and found.total.usd is None


def test_one_of_two_machines_without_a_price() -> None:
    """Its time counts, and the dollars are those of the other."""
    attempts = [make_attempt("t0", 0, 3600), make_attempt("t1", 0, 3600, 2, node="n2", usd=None, usd_lost=None)]
    nodes = [make_node(0, 3600), make_node(0, 3600, "n2", usd=None)]
    found = spending(with_account([trial("t0"), trial("t1")], attempts, nodes))
    assert found is not None and found.num_unpriced == 1
    assert found.total.micro_usd == 1_000_000 and found.total.seconds == pytest.approx(7200)


def test_old_tables_have_their_trials_alone() -> None:
    """Without an account: time by the trials' own clocks, by status; nothing of idle, and nothing where nothing ran."""
    trials = [trial("a", total_seconds=100.0, **PHASES), trial("b", "failed", ce=None, total_seconds=20.0)]
    found = spending(make_tables(trials), [FRONT, "failed"])
    assert found is not None and not found.has_machines and found.total.micro_usd is None
    assert {use: cost.seconds for use, cost in found.uses.items()} == {FRONT: 100.0, "failed": 20.0}
    assert found.cells[FRONT, OTHER].seconds == pytest.approx(5.0)
    assert spending(make_tables([trial("c", "infeasible", ce=None, total_seconds=None)])) is None


def test_a_trial_that_still_runs_has_its_cost() -> None:
    """An attempt without an end counts with what the account says of it until now."""
    running = make_attempt("t0", 0, None, device_seconds=40.0, usd=0.01, outcome=None)
    found = spending(with_account([trial("t1", ce=1.0)], [running], [make_node(0, None, up_seconds=50.0, usd=0.02)]))
    assert found is not None
    assert found.uses["not finished"].micro_usd == 10_000 and found.uses[IDLE].seconds == pytest.approx(10)
