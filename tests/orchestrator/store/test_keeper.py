"""Removing what a sweep does not keep, on a real disk."""

from __future__ import annotations

from pathlib import Path

from orchestrator.store.removal import Removed
from orchestrator.store.run_folder import RunFolder


def with_files(root: Path, *trial_ids: str) -> RunFolder:
    """A run folder with an artifact of 1,000 bytes and a checkpoint of 2,000 of each trial."""
    folder = RunFolder(root / "run")
    for trial_id in trial_ids:
        trial = folder.trial(trial_id)
        trial.checkpoint_file.parent.mkdir(parents=True)
        trial.artifact_file.write_bytes(bytes(1_000))
        trial.checkpoint_file.write_bytes(bytes(2_000))
    return folder


def test_numbers_and_bytes_are_counted_once(tmp_path: Path) -> None:
    """What is asked for again, or was never there, adds nothing."""
    folder, removed = with_files(tmp_path, "a", "b", "c"), Removed()
    assert removed.text() == ""
    for _ in range(2):
        removed.artifacts(folder, ["a", "b", "absent"])
        removed.checkpoints(folder, ["a", "absent"])
    assert removed.text() == "2 artifacts and 1 checkpoint (0.00 MB)" and removed.num_bytes == 4_000
    assert folder.trial("c").artifact_file.exists() and folder.trial("b").checkpoint_file.exists()
    assert not folder.trial("a").checkpoint_file.parent.exists() and not folder.trial("b").artifact_file.exists()


def test_what_cannot_be_removed_stops_nothing_and_is_tried_again(tmp_path: Path) -> None:
    """A folder in place of the artifact cannot be unlinked: the others go, and it goes once it can be."""
    folder, removed = with_files(tmp_path, "a", "b"), Removed()
    stubborn = folder.trial("a").artifact_file
    stubborn.unlink()
    stubborn.mkdir()
    removed.artifacts(folder, ["a", "b"])
    assert stubborn.exists() and not folder.trial("b").artifact_file.exists() and removed.num_artifacts == 1
    stubborn.rmdir()
    stubborn.write_bytes(bytes(10))
    removed.artifacts(folder, ["a", "b"])
    assert not stubborn.exists() and removed.num_artifacts == 2
