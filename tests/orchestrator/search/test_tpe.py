"""Method tpe: Optuna's sampler is told what it can learn from, and its answers are pure."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import optuna
import pytest
from search_world import load, row_of, with_method

from orchestrator.search.adaptive import AdaptiveSearch
from orchestrator.search.history import History, Observation
from orchestrator.search.method import Question
from orchestrator.search.methods.tpe import Tpe, decoded, distribution, encoded
from search_spaces.configs.valid_configs import options_of_draw
from search_spaces.spec.sweep_spec import Parameter, SweepSpec


def observations(spec: SweepSpec) -> list[Observation]:
    """Of a finished search, some of them cut, the last three running."""
    search, count = AdaptiveSearch(spec, History(), record=lambda suggestion: None), 0
    while trials := search.ask():
        count += 1
        bad = {"status": "diverged", "ce": None} if count % 7 == 0 else {}
        if count < 27:
            search.tell(row_of(trials[0], **bad))
    return search.history.observations(spec.constraints)


def question(spec: SweepSpec, known: list[Observation], number: int, attempt: int = 0) -> Question:
    return Question(
        number=number,
        attempt=attempt,
        seed=1000 * number + attempt,
        observations=known,
        pinned={"recipe": "baseline"} if number % 4 == 0 else {},
        known=set(),
        drawn=options_of_draw(0, number, attempt),
    )


@pytest.fixture
def spec(tmp_path: Path) -> SweepSpec:
    return load(tmp_path, with_method("tpe"))


def test_a_study_that_follows_equals_one_that_is_built_anew(spec: SweepSpec) -> None:
    """Told bit by bit, with trials that run, end, are cut and vanish, it answers as a fresh one."""
    followed, known = Tpe(spec), observations(spec)
    for number in range(5, len(known)):
        seen = [
            dataclasses.replace(one, state="running", values={}, violations={}) if index > number - 3 else one
            for index, one in enumerate(known[: number + 1])
        ]
        seen = seen[: number + number % 2]  # a running one that was superseded comes and goes
        for attempt in range(2):
            asked = question(spec, seen, number, attempt)
            names = [one.candidate.name for one in followed.propose(asked)]
            assert names == [one.candidate.name for one in Tpe(spec).propose(asked)]


def test_a_mean_that_was_revised_is_told(spec: SweepSpec) -> None:
    """Another seed changes an early value: the answer is that of a fresh study with the new one."""
    followed, known = Tpe(spec), observations(spec)
    followed.propose(question(spec, known, 30))
    better = {column: value / 2 for column, value in known[0].values.items()}
    revised = [dataclasses.replace(known[0], values=better), *known[1:]]
    asked = question(spec, revised, 31)
    assert followed.propose(asked) == Tpe(spec).propose(asked)


def test_a_pin_is_kept(spec: SweepSpec) -> None:
    """What is pinned has its value in every answer, and only such trials are learned from."""
    found = Tpe(spec).propose(question(spec, observations(spec), 32))
    assert [one.candidate.config.recipe for one in found] == ["baseline"]


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        (Parameter("model.dim", "choice", (64, 32, 48)), optuna.distributions.IntDistribution),
        (Parameter("model.dim", "steps", (32, 64, 16)), optuna.distributions.IntDistribution),
        (Parameter("recipe", "choice", ("baseline", "selective")), optuna.distributions.CategoricalDistribution),
        (Parameter("freeze.matrices", "choice", (["gate"], ["gate", "up"])), None),
        (Parameter("model", "choice", ({"dim": 32}, {"dim": 64}, None)), None),
        (Parameter("artifact.clip_std", "choice", (None, 3.0)), None),
    ],
)
def test_every_listed_value_survives(parameter: Parameter, kind: type | None) -> None:
    """Numbers are known by their place in order, anything else as JSON; both read back as they were written."""
    one = distribution(parameter)
    assert isinstance(one, kind or optuna.distributions.CategoricalDistribution)
    for index, value in enumerate(parameter.options):
        assert decoded(parameter, encoded(parameter, value)) == (index, value)


def test_fractions_keep_six_digits_and_their_ends() -> None:
    """As draws do, so that ids are equal on every machine."""
    parameter = Parameter("optimizer.learning_rate", "log_range", (1e-4, 1e-1))
    assert decoded(parameter, 0.012345678) == (None, 0.0123457)
    assert decoded(parameter, math.nextafter(1e-1, 1)) == (None, 1e-1)
    whole = Parameter("train.steps", "range", (5, 9))
    assert decoded(whole, 7) == (None, 7) and distribution(whole) == optuna.distributions.IntDistribution(5, 9)
