"""Rule `asha`: at each look a trial goes on if it is among the best third of its kind that came so far.

Li et al., 2018, "A System for Massively Parallel Hyperparameter Tuning" (arXiv 1810.05934), in its stopping form, with
layers of non-dominated sorting in place of one metric. Nothing is predicted, and no risk is bounded.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from orchestrator.early_stopping.kinds import kind_of
from orchestrator.early_stopping.rule import Ended, Looked, Verdict, is_audited
from results.analysis.pareto import pareto_rank
from search_spaces.spec.sweep_spec import SIZES, SweepSpec
from trainer.artifact.size_bounds import roughly_expected_bytes

REDUCTION = 3  # one in so many goes on


class Asha:
    """See the module."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self.has_size = any(column in spec.objectives for column in SIZES)
        self._rungs: dict[tuple[Hashable, int], dict[str, tuple[float, float]]] = {}

    def tell(self, ended: Ended) -> None:
        for step, score in ended.looks.items():
            self._rung(ended, step)[ended.trial_id] = self._values(ended, score)

    def look(self, looked: Looked) -> Verdict:
        rung = self._rung(looked, looked.step)
        rung[looked.trial_id] = self._values(looked, looked.looks[looked.step])
        place, count = self._place(rung, looked.trial_id), len(rung)
        if place < max(1, count // REDUCTION):
            return Verdict(action="go_on", step=looked.step)
        audited = is_audited(looked.trial_id, self.spec.early_stopping.audit_share)
        reason = f"at step {looked.step} it is number {place + 1} of {count} that came so far"
        return Verdict(action="audit" if audited else "stop", step=looked.step, reason=reason)

    def saw(self, looked: Looked, verdict: Verdict | None) -> None:
        for step, score in looked.looks.items():
            self._rung(looked, step)[looked.trial_id] = self._values(looked, score)

    def moved_back(self) -> list[str]:
        return []

    def _rung(self, one: Looked | Ended, step: int) -> dict[str, tuple[float, float]]:
        return self._rungs.setdefault((kind_of(one.candidate.config), step), {})

    def _values(self, one: Looked | Ended, score: float) -> tuple[float, float]:
        return score, float(roughly_expected_bytes(one.candidate.config)) if self.has_size else 0.0

    def _place(self, rung: dict[str, tuple[float, float]], trial_id: str) -> int:
        """How many come before it: by their layer, then by their score."""
        values = np.array(list(rung.values()))
        layers = pareto_rank(values, ["min", "min"])
        layers[layers < 0] = len(rung)  # a loss that is no number comes last
        order = np.lexsort((values[:, 0], layers))
        return int(np.flatnonzero(order == list(rung).index(trial_id))[0])
