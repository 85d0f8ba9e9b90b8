"""How long trials take, by accelerator: what is expected of its kind, corrected by the trials that ended. Pure.

Seconds in steps and seconds beside them are learned apart, each as log(measured / expected) by accelerator; see
`estimates/log_ratio.py`.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping
from typing import Any

from orchestrator.estimates.log_ratio import Doubt, LogRatio, Posterior
from orchestrator.estimates.speeds import CARDS, CPU, MEASURED_CPU, Speed, card_speed, speed_of
from orchestrator.scheduling.cost_model import Cost, Seconds

# Before any trial of an accelerator has ended, at most so much longer than expected counts for a start: what is
# expected of a card may be wrong by a factor of two, and would forbid the last starts of a night for nothing.
HIGH_BEFORE_ANY = 1.5
NORMAL_90 = 1.2816  # 90 % of a normal distribution lie below so many standard deviations
LEAST_SHARE = 0.05  # of its steps that a trial which was stopped must have done to teach how long they take
_NOTHING = LogRatio()
# However many trials have ended: how far the mean of those that are to come may be from theirs, as its logarithm. Of
# another sweep, three that were forecast by the rows of two others were off by .02, .09 and .19.
OWN_SWEEP_SIGMA, OTHER_SWEEP_SIGMA = 0.05, 0.15
# Of a kind that is not in the table: any card, and little trust in it.
UNKNOWN = dataclasses.replace(card_speed(CARDS["A100"]), doubt=Doubt(sigma=math.log(100), scatter=0.25))
TEACHES_STEPS = ("stopped_early", "deadline", "diverged")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """Seconds that a trial takes: half of such trials take less than `middle`, one in ten less than `low`, nine in ten
    less than `high`. `beside` is the part of `middle` that is no training step.

    `is_prior`: no trial of this accelerator has ended yet, so all is expected of its kind.
    """

    middle: float
    high: float
    low: float = 0.0
    beside: float = 0.0
    is_prior: bool = False
    # of the logarithm: of the accelerator's mean, which all its trials share, and of single trials
    mean_sigma: float = 0.0
    scatter: float = 0.0

    @property
    def to_start(self) -> float:
        """Seconds that must be left for such a trial to start: `high`, but see `HIGH_BEFORE_ANY`."""
        return min(self.high, HIGH_BEFORE_ANY * self.middle) if self.is_prior else self.high

    @property
    def high_mean(self) -> float:
        """Nine in ten: what many such trials take on average at most, as their own scatter averages out."""
        return self.middle * math.exp(NORMAL_90 * self.mean_sigma)

    def sample(self, rng: random.Random) -> float:
        """A duration of one trial, drawn without regard to others; for many trials of one night see `World`."""
        return self.middle * math.exp(rng.gauss(0.0, math.hypot(self.mean_sigma, self.scatter)))


class Durations:
    """Learns from the rows of trials that ended.

    Args:
        cpu: what is expected of a CPU; see `cpu_speed.measured_cpu`.
    """

    def __init__(self, cpu: Speed = MEASURED_CPU) -> None:
        self.cpu, self.sweep_sigma = cpu, OWN_SWEEP_SIGMA
        self._steps: dict[str, LogRatio] = {}
        self._beside: dict[str, LogRatio] = {}

    def ended(self, row: Mapping[str, Any], cost: Cost) -> None:
        """Learn from a trial's row.

        One that completed teaches both parts. One that was stopped, or diverged, teaches how long its steps took. One
        that did steps again teaches nothing: its seconds are of more than its steps.
        """
        accelerator, train, total = row.get("accelerator"), row.get("train_seconds"), row.get("total_seconds")
        if not accelerator or not train or not total or row.get("steps_repeated"):
            return
        prior = cost.seconds(self._reference(accelerator))
        if row["status"] == "completed":
            self._learn(self._steps, accelerator, train, prior.steps)
            self._learn(self._beside, accelerator, total - train, prior.beside)
        elif row["status"] in TEACHES_STEPS:
            share = (row.get("steps") or 0) / (row.get("steps_planned") or math.inf)
            if share >= LEAST_SHARE:
                self._learn(self._steps, accelerator, train, prior.steps * share)

    def expected(self, cost: Cost, accelerator: str) -> Expected | None:
        """None of a kind of which nothing is known, before a trial of it has completed."""
        if not self.knows(accelerator):
            return None
        steps, beside = self._posteriors(accelerator)
        prior = cost.seconds(self._reference(accelerator))
        in_steps, rest = prior.steps * math.exp(steps.mean), prior.beside * math.exp(beside.mean)
        middle = in_steps + rest
        # the logarithm of a sum, to first order: each part by its share
        share = in_steps / middle if middle else 0.0
        mean_sigma = math.hypot(share * steps.mean_sigma, (1 - share) * beside.mean_sigma)
        scatter = math.hypot(share * steps.scatter, (1 - share) * beside.scatter)
        factor = math.exp(NORMAL_90 * math.hypot(mean_sigma, scatter))
        return Expected(
            middle=middle,
            low=middle / factor,
            high=middle * factor,
            beside=rest,
            is_prior=accelerator not in self._steps,
            mean_sigma=mean_sigma,
            scatter=scatter,
        )

    def knows(self, accelerator: str) -> bool:
        """Whether anything is expected of it: by its kind, or as a trial of it has completed."""
        return accelerator in self._beside or speed_of(accelerator, self.cpu) is not None

    def basis(self, accelerator: str) -> str:
        """In words, where what is expected of it comes from."""
        ratio = self._steps.get(accelerator)
        if ratio is not None:
            return f"{accelerator}: {ratio.count} trials that ended there"
        if accelerator == CPU:
            return f"{CPU}: how fast this machine multiplies matrices; no trial has ended yet"
        return f"{accelerator}: figures of its maker, right within a factor of two; no trial has ended there yet"

    def copy(self) -> Durations:
        """Of its own: what one learns the other does not."""
        found = Durations(self.cpu)
        found.sweep_sigma = self.sweep_sigma
        found._steps, found._beside = dict(self._steps), dict(self._beside)
        return found

    def draw_world(self, rng: random.Random) -> World:
        """One of the nights that may come, as far as is known now; see `World`."""
        return World(self, rng.getrandbits(64))

    def _reference(self, accelerator: str) -> Speed:
        """What the trials of an accelerator are measured against; of an unknown kind, any card serves."""
        return speed_of(accelerator, self.cpu) or UNKNOWN

    def _posteriors(self, accelerator: str) -> tuple[Posterior, Posterior]:
        speed = self._reference(accelerator)
        steps, beside = (seen.get(accelerator, _NOTHING) for seen in (self._steps, self._beside))
        return steps.posterior(speed.doubt), beside.posterior(speed.doubt)

    def _learn(self, seen: dict[str, LogRatio], accelerator: str, measured: float, prior: float) -> None:
        if measured > 0 and prior > 0:
            ratio = seen.get(accelerator, _NOTHING)
            seen[accelerator] = ratio.with_one(math.log(measured / prior), self._reference(accelerator).doubt)


class World:
    """One night that may come: each accelerator has one mean in it, which all its trials share.

    What is not known of an accelerator makes all trials of a night longer or shorter together; drawing each trial for
    itself would average it out. A simulator draws many worlds, and in each of them every trial once.

    An accelerator's mean depends on the world alone, not on when it is first asked for.
    """

    def __init__(self, durations: Durations, seed: int) -> None:
        self._durations, self._seed = durations, seed
        self._means: dict[str, tuple[float, float]] = {}

    def seconds(self, cost: Cost, accelerator: str, rng: random.Random) -> Seconds | None:
        """How long one trial takes in this world. Args: `rng`: of the trial's scatter. None: nothing is known."""
        if not self._durations.knows(accelerator):
            return None
        prior = cost.seconds(self._durations._reference(accelerator))
        steps, beside = self._durations._posteriors(accelerator)
        if accelerator not in self._means:
            shared, sigma = random.Random(f"{self._seed}/{accelerator}"), self._durations.sweep_sigma
            self._means[accelerator] = tuple(  # type: ignore[assignment]
                shared.gauss(one.mean, math.hypot(one.mean_sigma, sigma)) for one in (steps, beside)
            )
        mean_of_steps, mean_of_beside = self._means[accelerator]
        return Seconds(
            steps=prior.steps * math.exp(rng.gauss(mean_of_steps, steps.scatter)),
            beside=prior.beside * math.exp(rng.gauss(mean_of_beside, beside.scatter)),
        )
