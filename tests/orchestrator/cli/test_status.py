"""`frostline status`: running, stopped, finished or lost; in a folder and in an object store."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import obstore
import pytest
from s3_server import BUCKET, s3_server
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app
from results.object_store import LOCK_FILE, open_bucket
from trainer.locks import sole_owner

FACTS: dict[str, Any] = {
    "sweep": "night",
    "state": "running",
    "driver": {"host": "desk", "process": 7, "since": "2026-11-27T22:00:00+00:00"},
    "updated_at": "2026-11-27T22:30:00+00:00",
    "reason": None,
    "trials": {"all": 200, "done": 34, "running": 1, "waiting": 165, "completed": 33, "stopped_early": 1},
    "running": [
        {
            "trial_id": "selective-1",
            "accelerator": "A40",
            "step": 1_200,
            "total_steps": 5_000,
            "stage": "training",
            "ce": 3.5,
            "tokens_per_s": 1_000_000.0,
        }
    ],
    "remaining_seconds": 7_260.0,
    "best": {"trial_id": "selective-2", "value": 3.25, "artifact_bytes": 15_000_000, "column": "ce"},
    "notes": ["40% of steps saved"],
    "spent_usd": 3.2,
    "usd_per_hour": 5.98,
    "unseen_usd": 0.0,
    "budget": {"trials": 200, "hours": 8, "usd": 40},
    "budget_left_seconds": 3_600.0,
    "budget_limit": "hours",
}


def status(run: object, *options: str) -> Result:
    return CliRunner().invoke(app, ["status", str(run), *options])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "status.json").write_text(json.dumps(FACTS))
    return tmp_path


def test_a_running_sweep(folder: Path) -> None:
    """Who drives it, counts, money, the end, the best, and what runs where."""
    with sole_owner(folder):  # as its driver
        done = status(folder)
    lines = done.stdout.splitlines()
    assert done.exit_code == 0 and lines[0].startswith("night: running (process 7 on desk, ")
    assert lines[1] == "trials: 34 of 200 done (33 completed, 1 stopped early), 1 running, 165 waiting"
    assert lines[2] == "spent 3.20 of 40 USD, 5.98 USD/hour now; 1 h 00 min until budget.hours ends it"
    assert lines[3].startswith("expected end: ") and lines[3].endswith("in 2 h 01 min")
    assert lines[4] == "best: ce 3.2500 in 15,000,000 bytes (selective-2)" and lines[5] == "40% of steps saved"
    assert lines[7].split() == ["selective-1", "A40", "training", "1,200", "of", "5,000", "3.5000", "1,000,000"]


def test_each_accelerator_has_its_best_where_the_goal_depends_on_it(folder: Path) -> None:
    """A line for each; a file of an older driver, which holds one, is shown as before (see above)."""
    bests = [
        {"trial_id": kind, "value": 9.5, "artifact_bytes": None, "column": "tokens_per_s", "accelerator": kind}
        for kind in ("A40", "H100")
    ]
    (folder / "status.json").write_text(json.dumps({**FACTS, "best": None, "bests": bests}))
    lines = [line for line in status(folder).stdout.splitlines() if line.startswith("best")]
    assert lines == ["best on A40: tokens_per_s 9.5000 (A40)", "best on H100: tokens_per_s 9.5000 (H100)"]


def test_a_driver_that_ended_without_a_word(folder: Path) -> None:
    """It says that it runs, and nobody holds the lock of the folder."""
    assert "lost: its driver ended without a word, and the same command goes on" in status(folder).stdout
    assert json.loads(status(folder, "--json").stdout)["state"] == "lost"


@pytest.mark.parametrize(
    ("state", "said"), [("finished", "night: finished ("), ("stopped", "stopped (the disk is full)")]
)
def test_a_sweep_that_ended(folder: Path, state: str, said: str) -> None:
    """With the reason, and without trials that run."""
    (folder / "status.json").write_text(json.dumps({**FACTS, "state": state, "reason": "the disk is full"}))
    done = status(folder)
    assert said in done.stdout and "30 min)" in done.stdout and "selective-1 " not in done.stdout


def test_no_run(tmp_path: Path) -> None:
    """One line."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "status", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "has no status.json" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_run_in_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that renews its lock is at work; one that has not for a minute is lost."""
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        uri = f"s3://{BUCKET}/status/night"
        bucket = open_bucket(uri)
        obstore.put(bucket, "status.json", json.dumps(FACTS).encode())
        obstore.put(bucket, LOCK_FILE, b"{}")
        assert "night: running" in status(uri).stdout
        late = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 61, UTC)
        monkeypatch.setattr("orchestrator.cli.status.datetime", type("Late", (datetime,), {"now": lambda tz: late}))
        assert "night: lost" in status(uri).stdout


def test_it_loads_nothing_heavy(folder: Path) -> None:
    """Neither pandas, pyarrow, torch nor ray: it answers in a moment, however many trials there are."""
    code = (
        "import sys\nfrom orchestrator.cli.main import app\n"
        f"try:\n    app(['status', {str(folder)!r}])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'ray', 'pandas', 'pyarrow', 'numpy', 'obstore') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
