from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console
from sweeps import tiny_sweep

from orchestrator.progress.display import Display, duration, headline, render
from orchestrator.progress.front_so_far import FrontSoFar
from orchestrator.progress.running_trial import TRAINING_SHARE
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.progress.time_left import SECONDS_BESIDE_TRAINING
from orchestrator.scheduling.cost_model import Cost
from orchestrator.search.planner import plan


def row(
    trial_id: str, *, status: str = "completed", ce: float = 3.0, feasible: bool | None = True
) -> dict[str, object]:
    values = {"ce": ce, "artifact_bytes": 1000, "tokens_per_s": 5000.0, "accelerator": "CPU", "error": None}
    return {"trial_id": trial_id, "status": status, "feasible": feasible, **values}


def new_status(num_trials: int = 4, direction: str = "min") -> SweepStatus:
    return SweepStatus(num_trials=num_trials, objective=("ce", direction), started_seconds=0.0)


def test_counts_follow_the_events() -> None:
    """Waiting, running and finished always add up to what was planned."""
    status = new_status()
    status.already_finished(row("old"))
    status.started("a", "CPU")
    status.started("b", "CPU")
    status.finished(row("a", status="diverged"))
    status.lost("b", died=True)
    assert (status.num_finished, len(status.running), status.num_waiting) == (2, 0, 2)
    assert (status.counts["completed"], status.counts["diverged"], status.num_deaths) == (1, 1, 1)


def test_the_best_is_feasible_completed_and_a_number() -> None:
    """Over budget, failed, NaN: none of these is the best so far, whatever its value."""
    status = new_status()
    for candidate in (
        row("over", ce=1.0, feasible=False),
        row("nan", ce=math.nan),
        row("failed", status="failed", ce=1.0),
    ):
        status.finished(candidate)
    assert status.best is None
    status.finished(row("good", ce=2.5))
    status.finished(row("worse", ce=2.6))
    assert status.best is not None and status.best.trial_id == "good"
    upward = new_status(direction="max")
    upward.finished(row("low", ce=1.0))
    upward.finished(row("high", ce=2.0))
    assert upward.best is not None and upward.best.trial_id == "high"


def test_remaining_time_follows_the_predicted_costs() -> None:
    """At the first report, from the running trials' own speed: four trials of 100 s, two at once."""
    status = SweepStatus(
        num_trials=4, objective=("ce", "min"), started_seconds=0.0, costs={name: Cost(5e6, 1_000) for name in "abcd"}
    )
    assert status.remaining_seconds() is None
    for name in "ab":
        status.started(name, "CPU")
    status.at_stage("a", "train")
    assert status.remaining_seconds() is None
    status.reported("a", {"step": 50, "total_steps": 100, "ce": math.nan, "tokens_per_s": 10.0})
    beside = SECONDS_BESIDE_TRAINING * (4 - TRAINING_SHARE / 2) / 2
    assert status.remaining_seconds() == pytest.approx((400 - 100 * TRAINING_SHARE / 2) / 2 + beside)
    status.finished({**row("a"), "train_seconds": 90.0, "total_seconds": 100.0})
    assert status.remaining_seconds() == pytest.approx(3 * 90 + 3 * 10)


def test_a_large_trial_counts_as_what_it_costs() -> None:
    """With the small trials done, the estimate is that of the large one and not that of an average."""
    sizes = {"small": Cost(1e6, 1_000), "large": Cost(1e8, 1_000)}
    status = SweepStatus(num_trials=2, objective=("ce", "min"), started_seconds=0.0, costs=sizes)
    status.started("small", "CPU")
    status.finished({**row("small"), "train_seconds": 10.0, "total_seconds": 10.0})
    status.started("large", "CPU")
    assert status.remaining_seconds() == pytest.approx(1_000)


def test_durations_read_as_people_say_them() -> None:
    """Seconds, minutes and hours in the two largest units."""
    assert [duration(s) for s in (None, 0, 59.6, 200, 25_500)] == ["?", "0 s", "1 min 00 s", "3 min 20 s", "7 h 05 min"]


def test_a_terminal_sees_the_running_trials_and_the_headline() -> None:
    """The live picture names each running trial with step, ce and speed, and counts the rest."""
    status = new_status(num_trials=40)
    for i in range(20):
        status.started(f"trial-{i}", "H100")
    status.at_stage("trial-3", "train")
    status.reported("trial-3", {"step": 50, "total_steps": 200, "ce": 3.21, "tokens_per_s": 123456.0})
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    console.print(render(status, 30.0))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "trial-3" in text and "50/200" in text and "3.210" in text and "123,456" in text
    assert "… and 4 more" in text and "0/40 done, 20 running, 20 waiting" in text


def test_without_a_terminal_there_are_plain_lines_at_a_calm_pace() -> None:
    """A log gets one line per finished trial and a headline every ten seconds, however often the driver ticks."""
    now = [0.0]
    status = new_status()
    console = Console(file=io.StringIO(), width=80)
    with Display(status, console, clock=lambda: now[0]) as display:
        for second in range(25):
            now[0] = float(second)
            display.tick()
        status.finished(row("done"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.startswith("done: ce 3.0000") for line in lines] == [False, False, False, True]
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_finished_line_says_what_the_id_does_not() -> None:
    """Behind the id stand the settings that tell its config from others of the sweep, whatever became of the trial."""
    status = SweepStatus(num_trials=2, objective=("ce", "min"), started_seconds=0.0, varied={"a": "gate+up", "b": ""})
    for finished in (row("a"), row("a", status="diverged"), row("b")):
        status.finished(finished)
    assert [line.partition(":")[0] for line in status.finished_lines] == ["a (gate+up)", "a (gate+up)", "b"]


def test_a_stopping_sweep_says_so() -> None:
    """After Ctrl-C the headline tells what is being waited for."""
    status = new_status()
    status.stop("interrupted")
    assert "stopping (interrupted): running trials checkpoint" in headline(status, 1.0)


def test_with_an_objective_of_the_device_each_accelerator_has_its_best() -> None:
    """The display names the kind; a trial that shared its device is no best, and there is no best of all."""
    status = SweepStatus(num_trials=4, objective=("tokens_per_s", "max"), started_seconds=0.0)
    for name, kind, speed, beside in (("a", "A40", 9.0, 0), ("h", "H100", 90.0, None), ("c", "H100", 99.0, 1)):
        status.finished({**row(name), "accelerator": kind, "tokens_per_s": speed, "num_neighbours": beside})
    assert status.best is None
    assert {kind: one.trial_id for kind, one in status.bests.items()} == {"A40": "a", "H100": "h"}
    line = headline(status, 1.0)
    assert "best tokens_per_s on A40 9.0000 (a) · best tokens_per_s on H100 90.0000 (h)" in line


@pytest.mark.parametrize(
    ("objectives", "text"),
    [
        ({"ce": "min", "artifact_bytes": "min"}, r"^hypervolume \d+\.\d{3}$"),
        (
            {"ce": "min", "artifact_bytes": "min", "tokens_per_s": "max"},
            r"^hypervolume \d+\.\d{3} on A40, \d+\.\d{3} on H100$",
        ),
    ],
)
def test_the_hypervolume_is_of_one_accelerator_where_an_objective_depends_on_it(
    tmp_path: Path, objectives: dict[str, str], text: str
) -> None:
    """Else it is of all trials together."""
    spec = tiny_sweep(tmp_path, objectives=objectives)
    front = FrontSoFar(spec, plan(spec))
    assert front.short_text() == "hypervolume 0.000"
    for kind, ce in (("H100", 3.0), ("A40", 4.0)):
        front.add({**row("t", ce=ce), "accelerator": kind})
    assert re.match(text, front.short_text())
    assert front.text().startswith(front.short_text() + " nats × ln bytes (up to ce 6.24")
    values = front.hypervolumes
    assert len(values) == 1 or values["A40"] < values["H100"]
