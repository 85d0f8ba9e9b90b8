"""The hypervolume of a sweep while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.scheduling.admission import byte_limits, bytes_beside
from orchestrator.search.planner import PlannedTrial
from results.analysis.per_device import are_per_device
from results.analysis.search_history import front_hypervolume
from search_spaces.spec.sweep_spec import SIZES, SweepSpec
from trainer.artifact.size_bounds import roughly_expected_bytes


class FrontSoFar:
    """The front of completed trials that keep the limits, in ce and the bytes of the artifact.

    Where an objective depends on the device, each accelerator has a front of its own.

    `reference`: the ce of a model that knows nothing, ln(vocabulary), and the bytes of the largest config among some
    examples of the sweep, or the limit if that is less.
    """

    def __init__(self, spec: SweepSpec, examples: Iterable[PlannedTrial]) -> None:
        configs = {trial.config.config_id: trial.config for trial in examples}.values()
        sizes = [float(roughly_expected_bytes(config)) for config in configs]
        limits = [limit.bound - bytes_beside(limit) for limit in byte_limits(spec.constraints)]
        self.reference = (
            max((math.log(config.model.vocab_size) for config in configs), default=1.0),
            max(1.0, min([max(sizes, default=1.0), *limits])),
        )
        self.is_shown = "ce" in spec.objectives and any(column in spec.objectives for column in SIZES)
        self.per_accelerator = are_per_device(spec.objectives)
        self.points: dict[str, list[tuple[float, float]]] = {}  # by accelerator, or all together under ""

    def add(self, row: Mapping[str, Any]) -> None:
        ce, size = row.get("ce"), row.get("artifact_bytes")
        if row["status"] == "completed" and row.get("feasible") is not False and ce is not None and size:
            kind = str(row.get("accelerator") or "unknown") if self.per_accelerator else ""
            self.points.setdefault(kind, []).append((ce, size))

    @property
    def hypervolumes(self) -> dict[str, float]:
        """By accelerator, or of all together under "", in nats times the logarithm of bytes."""
        return {kind: front_hypervolume(self.points[kind], self.reference) for kind in sorted(self.points)}

    def short_text(self) -> str:
        """`hypervolume 1.234`, or `hypervolume 1.234 on A40, 0.987 on H100`."""
        values = (self.hypervolumes or {"": 0.0}).items()
        return "hypervolume " + ", ".join(f"{value:.3f}" + (f" on {kind}" if kind else "") for kind, value in values)

    def text(self) -> str:
        """With the reference, for the end of a sweep."""
        ce, size = self.reference
        return f"{self.short_text()} nats × ln bytes (up to ce {ce:.2f} and {size:,.0f} bytes)"
