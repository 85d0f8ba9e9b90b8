"""A sweep on a real Ray that keeps the artifacts of its front alone, and what later calls make of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from driven_sweep import Sweep
from sweeps import write_sweep

from results.analysis.pareto_info import pareto_info
from results.tables.load import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SPACE: dict[str, Any] = {
    "recipe": {"choice": ["baseline"]},
    "model.dim": {"choice": [16, 32]},
    "optimizer.learning_rate": {"choice": [1e-6, 1e-2]},
}


def artifacts(sweep: Sweep) -> set[str]:
    return {path.parent.name for path in sweep.out.glob("trials/*/artifact.frost")}


def test_a_sweep_keeps_the_artifacts_of_its_front(tmp_path: Path, data_root: Path) -> None:
    """Trials of the front keep theirs, rows hold bytes and SHA-256 of all; the next call removes what a crash left."""

    def write(**keep: Any) -> Path:
        return write_sweep(tmp_path, space=SPACE, resources={"cpus": 1}, keep=keep)

    sweep = Sweep(write(artifacts="front"), tmp_path / "run", data_root)
    assert sweep.finish() == 0, sweep.log
    front = {one.trial_id for group in pareto_info(load(sweep.out)).front for one in group.replicates}
    table = sweep.table.set_index("trial_id")
    assert artifacts(sweep) == front and 0 < len(front) < len(table) == 8
    assert table[["artifact_bytes", "artifact_sha256", "ce"]].notna().all(axis=None)
    num_bytes = int(table.artifact_bytes[[name for name in table.index if name not in front]].sum())
    expected = f"not kept, by keep: {{artifacts: front, checkpoints: 10}}: {8 - len(front)} artifacts"
    assert f"{expected} ({num_bytes / 1e6:.2f} MB)" in sweep.log

    # a driver that died between recording and removing
    left = next(name for name in table.index if name not in front)
    (sweep.out / "trials" / left / "artifact.frost").write_bytes(bytes(10_000))
    assert sweep.finish() == 0 and artifacts(sweep) == front
    assert "removed 1 artifact (0.01 MB) of earlier calls, by keep: {artifacts: front, checkpoints: 10}" in sweep.log

    write(artifacts="none")
    results = sweep.results()
    assert sweep.finish() == 0 and artifacts(sweep) == set() and sweep.results() == results
    assert "keep.artifacts: front before, none now" in sweep.log and "nothing to do" in sweep.log
