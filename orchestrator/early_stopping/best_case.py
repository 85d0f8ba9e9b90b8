"""Rule `best_case`: stop a trial whose best case is dominated by a trial that has ended.

Bytes are nearly known before training, so only the score is open. With a bound on it, most trials can be told early
that a model of no more bytes is better already.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Hashable

import numpy as np
from scipy.stats import norm

from orchestrator.blas_threads import one_blas_thread
from orchestrator.early_stopping.forecast import Forecaster
from orchestrator.early_stopping.kinds import kind_of
from orchestrator.early_stopping.rule import Ended, Looked, Verdict, is_audited
from orchestrator.search.methods.encoding import Encoding
from orchestrator.search.methods.regression import LogLinear
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sweep_spec import SIZES, SweepSpec, score_column
from trainer.artifact.size_bounds import roughly_expected_bytes
from trainer.recipes.variants import plan
from trainer.training.looks import look_steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    """A config that ended, over its seeds; `trial_id` is its first."""

    trial_id: str
    score: float
    num_seeds: int
    artifact_bytes: float
    is_feasible: bool


def _together(trials: Collection[Ended]) -> _Config:
    return _Config(
        trial_id=next(iter(trials)).trial_id,
        score=sum(one.score for one in trials) / len(trials),
        num_seeds=len(trials),
        artifact_bytes=max(one.artifact_bytes for one in trials),
        is_feasible=all(one.is_feasible for one in trials),
    )


class BestCase:
    """See the module.

    Args:
        ce_std: standard deviation of the score between seeds, where it is known; else the forecast's noise is taken.
    """

    def __init__(self, spec: SweepSpec, ce_std: float | None = None) -> None:
        self.spec, self.ce_std = spec, ce_std
        self.has_size = any(column in spec.objectives for column in SIZES)
        self.encoding = Encoding(spec)
        self._configs: dict[str, dict[str, Ended]] = {}  # what ended, by config and trial
        self._stopped: dict[str, tuple[Candidate, Verdict]] = {}
        self._forecasters: dict[Hashable, Forecaster] = {}
        self._bytes: LogLinear | None = None

    def tell(self, ended: Ended) -> None:
        self._configs.setdefault(ended.candidate.name, {})[ended.trial_id] = ended
        self._stopped.pop(ended.trial_id, None)
        self._bytes = None
        wanted = look_steps(plan(ended.candidate.config))
        # one that began without early stopping, or in another version, was not looked at everywhere
        if all(math.isfinite(ended.looks.get(step, math.nan)) for step in wanted):
            self._forecaster(ended.candidate).tell(ended)

    def look(self, looked: Looked) -> Verdict:
        go_on = Verdict(action="go_on", step=looked.step)
        wanted = [step for step in look_steps(plan(looked.candidate.config)) if step <= looked.step]
        if any(step not in looked.looks for step in wanted):  # early stopping began in the middle of it
            return go_on
        with one_blas_thread():
            forecast = self._forecaster(looked.candidate).forecast(looked)
            if forecast is None:
                return go_on
            std = forecast.noise_std if self.ce_std is None else self.ce_std
            better = self._dominating(forecast.best_case, std, looked.candidate)
        if better is None:
            return go_on
        audited = is_audited(looked.trial_id, self.spec.early_stopping.audit_share)
        verdict = Verdict(
            action="audit" if audited else "stop",
            step=looked.step,
            predicted=float(f"{forecast.mean:.6g}"),
            best_case=float(f"{forecast.best_case:.6g}"),
            band=forecast.band,
            dominated_by=better.trial_id,
            column=score_column(self.spec.objectives),
            margin=float(f"{forecast.best_case - better.score:.3g}"),
            reason=f"at step {looked.step} its best case is {forecast.best_case:.4f}, and {better.trial_id} has "
            f"{better.score:.4f}" + (f" in {better.artifact_bytes:,.0f} bytes" if self.has_size else ""),
        )
        self.saw(looked, verdict)
        return verdict

    def saw(self, looked: Looked, verdict: Verdict | None) -> None:
        if verdict is not None and verdict.action == "stop":
            self._stopped[looked.trial_id] = looked.candidate, verdict

    def moved_back(self) -> list[str]:
        """Stopped trials whose best case nothing dominates any more, as more seeds made what did worse."""
        found = [
            trial_id
            for trial_id, (candidate, verdict) in self._stopped.items()
            if verdict.best_case is not None and self._dominating(verdict.best_case, 0.0, candidate) is None
        ]
        for trial_id in found:
            del self._stopped[trial_id]
        return found

    def _forecaster(self, candidate: Candidate) -> Forecaster:
        kind, rule = kind_of(candidate.config), self.spec.early_stopping
        if kind not in self._forecasters:
            self._forecasters[kind] = Forecaster(self.encoding, rule.risk, rule.audit_share)
        return self._forecasters[kind]

    def _dominating(self, best_case: float, std: float, candidate: Candidate) -> _Config | None:
        """The best config that is better than the best case, with its own noise counted, and has no more bytes.

        Args:
            std: of the score between seeds.
        """
        margin = float(norm.isf(self.spec.early_stopping.risk)) * std
        least = self._least_bytes(candidate) if self.has_size else math.inf
        others = [_together(trials.values()) for name, trials in self._configs.items() if name != candidate.name]
        better = [
            one
            for one in others
            if one.is_feasible
            and one.score + margin / math.sqrt(one.num_seeds) < best_case
            and one.artifact_bytes <= least
        ]
        return min(better, key=lambda one: one.score, default=None)

    def _least_bytes(self, candidate: Candidate) -> float:
        """Bytes that a config's artifact will hardly come below, from what the others came out at."""
        if self._bytes is None:
            seen = [one for trials in self._configs.values() for one in trials.values()]
            ratios = [one.artifact_bytes / roughly_expected_bytes(one.candidate.config) for one in seen]
            self._bytes = LogLinear(self.encoding.rows(one.candidate for one in seen), np.array(ratios))
        [mean], [std] = self._bytes.predict(self.encoding.rows([candidate]))
        ratio = math.exp(mean - float(norm.isf(self.spec.early_stopping.risk)) * std)
        return roughly_expected_bytes(candidate.config) * ratio
