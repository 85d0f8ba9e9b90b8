"""The account while a driver works, what may be added to a budget, and the command at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.ledger.bookkeeper import Bookkeeper
from orchestrator.ledger.events import MICROSECONDS, LedgerLog, Machine
from orchestrator.ledger.extensions import Extensions
from orchestrator.ledger.on_finish import end_of, run_command
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.scheduling.placement import Slot
from orchestrator.store.run_folder import RunFolder
from search_spaces.spec.sections.budget import BudgetConfig, OnFinishConfig

HOUR = 3_600
TWO_CARDS = Machine(node="h", host="h", accelerator="H100", cpus=8, gpus=2)
LABELLED = Machine(node="a", host="a", accelerator="A40", cpus=8, gpus=1, micro_usd_per_hour=440_000)
PLAIN = Machine(node="c", host="c", accelerator="CPU", cpus=4, gpus=0)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> int:
        return int(self.seconds * MICROSECONDS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def books(folder: Path, clock: Clock, **prices: float) -> Bookkeeper:
    return Bookkeeper(LedgerLog(folder / "ledger.jsonl"), prices, clock=clock)


def slot(machine: Machine, *, cpus: float = 1, gpus: float = 0) -> Slot:
    return Slot(kind=machine.accelerator, cpus=cpus, gpus=gpus, node_id=machine.node)


def test_a_price_is_the_labels_or_the_files_or_unknown(tmp_path: Path, clock: Clock) -> None:
    """The file's is for one card: a machine with two costs twice that. The label is for the machine, and goes first."""
    found = books(tmp_path, clock, H100=3.0, A40=9.0)
    priced = [found.priced(machine) for machine in (TWO_CARDS, LABELLED, PLAIN)]
    assert [one.micro_usd_per_hour for one in priced] == [6_000_000, 440_000, None]
    assert [one.price_from for one in priced] == ["prices", "label", None]


def test_a_row_has_what_its_trial_cost(tmp_path: Path, clock: Clock) -> None:
    """A share of the machine by GPUs, or by CPUs where there are none; idle machines cost the run, not the trial."""
    kept = books(tmp_path, clock, H100=3.0, CPU=0.4)
    kept.begin(lambda trial: None)
    kept.saw([TWO_CARDS, PLAIN])
    kept.started(1, "t", slot(TWO_CARDS, gpus=0.5))
    kept.started(2, "u", slot(PLAIN, cpus=1))
    clock.seconds += HOUR
    kept.stopped(1, "completed")
    kept.stopped(2, "completed")
    assert kept.columns("t") == {"device_seconds": 1_800.0, "usd": 1.5, "num_attempts": 1, "num_neighbours": 0}
    assert kept.columns("u") == {"device_seconds": 900.0, "usd": 0.1, "num_attempts": 1, "num_neighbours": 0}
    assert set(kept.columns("never").values()) == {None} and kept.columns("never").keys() == kept.columns("t").keys()
    assert kept.spent_usd == 6.4 and kept.usd_per_hour == 6.4 and kept.driver_seconds == HOUR


def test_a_driver_that_was_killed_is_gone_on_with(tmp_path: Path, clock: Clock) -> None:
    """Its attempts ended with its last sign of life, and were lost from their checkpoint on."""
    kept = books(tmp_path, clock, H100=3.0)
    kept.begin(lambda trial: None)
    kept.saw([TWO_CARDS])
    kept.started(1, "t", slot(TWO_CARDS, gpus=2))
    for _ in range(60):
        clock.seconds += 60
        kept.saw([TWO_CARDS])
    checkpoint, died = clock.seconds - 600, clock.seconds
    clock.seconds += 5 * HOUR
    again = books(tmp_path, clock, H100=3.0)
    again.begin(lambda trial: checkpoint)
    again.saw([])
    again.end()
    [attempt] = again.ledger.attempts.values()
    assert attempt.end == died * MICROSECONDS and attempt.lost_micro_usd(clock()) == 1_000_000
    totals = again.ledger.totals(clock())
    assert (totals.machines, totals.trials, totals.lost, totals.idle) == (6_000_000, 5_000_000, 1_000_000, 0)
    assert again.ledger.unseen_micro_usd() == 30_000_000
    assert Bookkeeper(LedgerLog(tmp_path / "ledger.jsonl"), {}, clock=clock).ledger.totals(clock()) == totals


def test_a_full_disk_ends_nothing(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events wait in memory, and are written in order when there is room."""
    kept = books(tmp_path, clock)
    append = LedgerLog.append
    monkeypatch.setattr(LedgerLog, "append", lambda self, event: (_ for _ in ()).throw(OSError("full")))
    kept.begin(lambda trial: None)
    kept.saw([PLAIN])
    monkeypatch.setattr(LedgerLog, "append", append)
    kept.started(1, "t", slot(PLAIN))
    assert [one.kind for one in kept.log.read()] == ["begin", "join", "start"]


def test_a_budget_can_be_extended(tmp_path: Path) -> None:
    """Every extension is kept; a limit that the sweep does not have cannot be."""
    extensions, budget = Extensions(tmp_path / "extensions.jsonl"), BudgetConfig(hours=8)
    assert extensions.add(budget, hours=4).hours == 12
    assert extensions.add(budget, hours=0.5).hours == 12.5 and len(extensions.read()) == 2
    with pytest.raises(UsageError, match=r"the sweep has no budget\.usd"):
        extensions.add(budget, usd=20)
    with pytest.raises(UsageError, match="nothing to add"):
        extensions.add(budget)
    extensions.path.write_text("{")
    with pytest.raises(UsageError, match="is damaged"):
        extensions.extended(budget)


def status(num_done: int, kind: str | None = None) -> SweepStatus:
    made = SweepStatus(num_trials=2, objective=("ce", "min"), started_seconds=0)
    made.counts["completed"] = num_done
    if kind is not None:
        made.stop("why", kind=kind)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    ("done", "kind", "limit", "end"),
    [
        (2, None, None, "finished"),
        (2, "interrupt", None, "finished"),
        (2, "pause", None, "finished"),
        (1, "budget", "usd", "budget"),
        (1, "budget", "hours", "deadline"),
        (1, "budget", "until", "deadline"),
        (1, "fault", None, "failed"),
        (1, "pause", None, "failed"),
        (1, "interrupt", None, None),
    ],
)
def test_ends_are_told_apart(done: int, kind: str | None, limit: str | None, end: str | None) -> None:
    """A user who ends a sweep needs no command."""
    assert end_of(status(done, kind), limit) == end


def test_the_command_gets_the_facts_and_its_output_is_kept(tmp_path: Path) -> None:
    """One that cannot be run is said in the same line."""
    folder = RunFolder(tmp_path)
    config = OnFinishConfig(command=("sh", "-c", "echo $FROSTLINE_END $FROSTLINE_USD; exit 3"))
    line = run_command(config, "budget", folder, 1.25)
    assert "on_finish (budget)" in line and "exit code 3" in line
    assert (tmp_path / "on_finish.log").read_text() == "budget 1.250000\n"
    assert "No such file" in run_command(OnFinishConfig(command=("/none",)), "failed", folder, 0.0)
