"""Method `ehvi`: expected hypervolume improvement for models whose bytes are nearly known before training.

Only cross-entropy has to be learned: a Gaussian process predicts it, with its noise, from what was chosen and from the
shapes. Bytes are those that the shapes give, times what this run's artifacts came out at. The config with the largest
expected gain over the front of predicted means is next; configs that still run count as if they came out as predicted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from orchestrator.blas_threads import one_blas_thread
from orchestrator.scheduling.admission import bytes_beside
from orchestrator.scheduling.cost_model import training_cost
from orchestrator.search.history import PREDICTED, Observation, Prediction
from orchestrator.search.method import Proposal, Question
from orchestrator.search.methods.candidates import CandidatePool, Draw
from orchestrator.search.methods.encoding import Encoding
from orchestrator.search.methods.expected_hypervolume import expected_hypervolume_improvement, expected_improvement
from orchestrator.search.methods.regression import Kriging, LogLinear
from results.analysis.pareto import pareto_rank
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sweep_spec import SCORES, SIZES, Constraint, SweepSpec
from trainer.artifact.size_bounds import roughly_expected_bytes

Array = npt.NDArray[np.float64]

MIN_COMPLETED = 5
# The kernel is fitted anew at these numbers of completed configs, each half again as large.
FITTED_AT = tuple(int(MIN_COMPLETED * 1.5**power) for power in range(40))
MAX_ROWS = 400  # predicted from, for the time it takes: the better half, and others evenly


class Ehvi:
    """See the module. It keeps fitted models and candidates, so it serves one thread at a time."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self.score_column = next(column for column in SCORES if column in spec.objectives)
        self.has_size = any(column in spec.objectives for column in SIZES)
        self.encoding = Encoding(spec)
        self.pool = CandidatePool(spec)
        self._expected: dict[str, int] = {}
        self._fitted: tuple[tuple[str, ...], Kriging] | None = None

    def propose(self, question: Question) -> Sequence[Proposal]:
        """The draw with the largest expected gain, of those that are new; none before enough is known."""
        with one_blas_thread():
            return self._proposed(question)

    def _proposed(self, question: Question) -> Sequence[Proposal]:
        completed = [
            one for one in question.observations if one.state == "completed" and self.score_column in one.values
        ]
        if len(completed) < MIN_COMPLETED:
            return []
        model = _Model(self, question.observations, completed)
        draws = self._new_draws(question, model.best_first(completed))
        if not draws:
            return []
        candidates = [candidate for draw in draws for candidate in draw]
        gains = model.gain(candidates)
        ends = np.cumsum([len(draw) for draw in draws])
        best = draws[int(np.argmax(np.add.reduceat(gains, np.concatenate(([0], ends[:-1])))))]
        return [Proposal(candidate, model.prediction(candidate)) for candidate in best]

    def _new_draws(self, question: Question, parents: Sequence[Candidate]) -> list[Draw]:
        draws = self.pool.draws(question, parents)
        return [draw for draw in draws if not any(candidate.name in question.known for candidate in draw)]

    def expected_bytes(self, candidate: Candidate) -> int:
        """What the shapes say."""
        if candidate.name not in self._expected:
            self._expected[candidate.name] = roughly_expected_bytes(candidate.config)
        return self._expected[candidate.name]

    def kernel(self, completed: Sequence[Observation]) -> Kriging:
        """Fitted to the first of the completed configs, as many as the largest of `FITTED_AT` that there are."""
        number = max(one for one in FITTED_AT if one <= len(completed))
        first = sorted(completed, key=lambda one: one.ended_at)[:number]
        key = tuple(f"{one.candidate.name} {one.values[self.score_column]}" for one in first)
        if self._fitted is None or self._fitted[0] != key:
            scores = np.array([one.values[self.score_column] for one in first])
            self._fitted = key, Kriging(self.encoding.rows(one.candidate for one in first), scores)
        return self._fitted[1]


class _Model:
    """What one question's observations say of any config."""

    def __init__(self, method: Ehvi, observations: Sequence[Observation], completed: Sequence[Observation]) -> None:
        self.method, self.spec = method, method.spec
        cut = [one for one in observations if one.state == "cut"]
        running = [one.candidate for one in observations if one.state == "running"]
        scores = [one.values[method.score_column] for one in completed]
        rows = method.encoding.rows(one.candidate for one in [*completed, *cut])
        # what was stopped early counts as it was predicted, and what diverged as the worst
        score = np.array([*scores, *(one.values.get(PREDICTED, max(scores)) for one in cut)])
        self.kriging = method.kernel(completed)
        kept = _most_telling(score, rows)
        nums = np.array([float(one.num_seeds) for one in [*completed, *cut]])
        self.kriging.observe(rows[kept], score[kept], nums[kept])
        self.columns = {column: self._column(column, completed) for column in self._columns_needed()}
        front = [one.candidate for one in completed]
        if running:  # they came out as predicted: that changes no mean, and leaves nothing to learn there
            more = method.encoding.rows(running)
            expected = self.kriging.means(more)
            self.kriging.observe(
                np.vstack([rows[kept], more]),
                np.concatenate([score[kept], expected]),
                np.concatenate([nums[kept], np.ones(len(more))]),
            )
            front += running
        self._set_front(front, completed)

    def _set_front(self, candidates: Sequence[Candidate], completed: Sequence[Observation]) -> None:
        means = self.kriging.means(self.method.encoding.rows(candidates))
        known = [math.log(one.values["artifact_bytes"]) for one in completed if "artifact_bytes" in one.values]
        sizes = np.concatenate([known, self.log_bytes(candidates[len(known) :])[0]])
        kept = [all(violation <= 0 for violation in one.violations.values()) for one in completed]
        keeps = np.concatenate([kept, self.probability_to_keep(candidates[len(completed) :]) > 0.5])
        self.front_size, self.front_score = sizes[keeps], means[keeps]
        self.reference = (float(sizes.max()) + 0.1, float(means.max()))

    def gain(self, candidates: Sequence[Candidate]) -> Array:
        """Expected gain of each, times the probability that it keeps the limits; per second if that is asked for."""
        mean, std = self.kriging.predict(self.method.encoding.rows(candidates))
        if self.method.has_size:
            log_bytes, _ = self.log_bytes(candidates)
            reference = (max(self.reference[0], float(log_bytes.max()) + 0.1), self.reference[1])
            gain = expected_hypervolume_improvement(
                log_bytes, mean, std, front_size=self.front_size, front_score=self.front_score, reference=reference
            )
        else:
            best = self.front_score.min() if len(self.front_score) else self.reference[1]
            gain = expected_improvement(mean, std, best)
        gain = gain * self.probability_to_keep(candidates)
        if self.spec.search.per_second:
            gain = gain / np.array([training_cost(candidate.config).work for candidate in candidates])
        return gain

    def probability_to_keep(self, candidates: Sequence[Candidate]) -> Array:
        """That a config keeps every limit whose column was seen."""
        product = np.ones(len(candidates))
        if not candidates:
            return product
        for limit in self.spec.constraints:
            mean, std, bound = self._predicted(limit, candidates)
            below = norm.cdf((bound - mean) / std)
            product *= below if limit.op == "<=" else 1 - below
        return np.maximum(product, 1e-12)

    def _predicted(self, limit: Constraint, candidates: Sequence[Candidate]) -> tuple[Array, Array, float]:
        """Mean and spread of a limited column, and its bound in the same terms."""
        if limit.column == self.method.score_column:
            return *self.kriging.predict(self.method.encoding.rows(candidates)), limit.bound
        if limit.bound <= 0:
            return np.zeros(len(candidates)), np.ones(len(candidates)), math.copysign(math.inf, limit.bound)
        if limit.column in SIZES:
            return *self.log_bytes(candidates), math.log(max(1.0, limit.bound - bytes_beside(limit)))
        return *self.columns[limit.column].predict(self.method.encoding.rows(candidates)), math.log(limit.bound)

    def log_bytes(self, candidates: Sequence[Candidate]) -> tuple[Array, Array]:
        """Logarithm of the artifact's bytes: of the expected ones, and of their ratio as this run's rows have it."""
        if not candidates:
            return np.zeros(0), np.zeros(0)
        ratio, spread = self.columns["artifact_bytes"].predict(self.method.encoding.rows(candidates))
        expected = np.log([float(self.method.expected_bytes(candidate)) for candidate in candidates])
        return expected + ratio, spread

    def prediction(self, candidate: Candidate) -> Prediction:
        mean, std = self.kriging.predict(self.method.encoding.rows([candidate]))
        log_bytes, _ = self.log_bytes([candidate])
        return Prediction(
            score=float(f"{mean[0]:.6g}"), std=float(f"{std[0]:.3g}"), artifact_bytes=round(math.exp(log_bytes[0]))
        )

    def best_first(self, completed: Sequence[Observation]) -> list[Candidate]:
        """Completed configs by their layer in the sorting of predicted means: the front first."""
        candidates = [one.candidate for one in completed]
        means = self.kriging.means(self.method.encoding.rows(candidates))
        sizes = self.log_bytes(candidates)[0] if self.method.has_size else np.zeros(len(candidates))
        ranks = pareto_rank(np.stack([means, sizes], axis=1), ["min", "min"])
        return [candidates[index] for index in np.lexsort((means, ranks))]

    def _columns_needed(self) -> set[str]:
        limited = {one.column for one in self.spec.constraints} - set(SIZES) - {self.method.score_column}
        return {"artifact_bytes", *limited}

    def _column(self, column: str, completed: Sequence[Observation]) -> LogLinear:
        """A model of a column's logarithm; of bytes, of their ratio to what the shapes let expect."""
        seen = [one for one in completed if one.values.get(column, 0.0) > 0]
        values = [one.values[column] for one in seen]
        if column == "artifact_bytes":
            values = [
                value / self.method.expected_bytes(one.candidate) for value, one in zip(values, seen, strict=True)
            ]
        return LogLinear(self.method.encoding.rows(one.candidate for one in seen), np.array(values))


def _most_telling(score: Array, rows: Array) -> npt.NDArray[np.intp]:
    """Which rows to predict from where there are too many: the better half of as many as are taken, others evenly."""
    if len(score) <= MAX_ROWS:
        return np.arange(len(score))
    order = np.argsort(score, kind="stable")
    rest = order[MAX_ROWS // 2 :]
    evenly = rest[np.linspace(0, len(rest) - 1, MAX_ROWS - MAX_ROWS // 2).astype(int)]
    return np.sort(np.concatenate([order[: MAX_ROWS // 2], evenly]))
