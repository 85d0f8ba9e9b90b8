"""One trial without Ray: Ctrl-C ends it at its checkpoint."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tiny import tiny_config

from orchestrator import single_trial
from orchestrator.errors import InterruptedTrial
from trainer.result import TrialResult
from trainer.training import loop


def test_ctrl_c_ends_a_trial_at_its_checkpoint(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130 and where it stands; the next run repeats no step."""
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)
    real = loop._losses

    def losses(*args: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "_losses", losses)
    with pytest.raises(InterruptedTrial, match="the same command goes on") as caught:
        single_trial._run_with_bar(tiny_config(), tmp_path, data_root)
    assert caught.value.exit_code == 130 and TrialResult.load(tmp_path / "state.json").steps == 1
    monkeypatch.setattr(loop, "_losses", real)
    assert single_trial._run_with_bar(tiny_config(), tmp_path, data_root).steps_repeated == 0
