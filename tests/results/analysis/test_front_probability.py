"""The probability of being on the front: closed forms, and what must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from results.analysis.front_probability import front_probabilities, seed_model, shrunken_means

SIZES = np.array([[100.0], [100.0]])
BOTH = ["min", "min"]


def replicated(means: list[float], std: float, num_seeds: int, seed: int = 0) -> list[dict[int, float]]:
    rng = np.random.default_rng(seed)
    return [{number: mean + std * float(rng.standard_normal()) for number in range(num_seeds)} for mean in means]


def test_of_two_equal_sizes_one_is_ahead_as_a_normal_difference_says() -> None:
    """With a known spread, P(a < b) is that of a normal distribution of the difference of two means."""
    spread = replicated([50.0 + 10 * i for i in range(200)], 1.0, 2)  # far behind, and they tell the spread well
    scores = [{0: 1.0}, {0: 2.0}, *spread]
    sizes = np.array([[100.0]] * len(scores))
    shares = front_probabilities(scores, sizes, BOTH)
    model = seed_model(scores)
    assert shares is not None and model is not None and model.std == pytest.approx(1.0, rel=0.15)
    assert shares[0] == pytest.approx(norm.cdf(1 / (math.sqrt(2) * model.std)), abs=0.05)
    assert shares[:2].sum() == pytest.approx(1.0) and shares[2:].max() == 0.0


def test_the_common_effect_of_a_seed_moves_no_front() -> None:
    """A large effect that all configs share with a seed is no doubt about their order."""
    effects = {0: 0.0, 1: 5.0, 2: -3.0}
    rng = np.random.default_rng(1)
    scores = [{s: mean + e + 0.01 * float(rng.standard_normal()) for s, e in effects.items()} for mean in (1.0, 1.1, 2)]
    shares = front_probabilities(scores, np.array([[100.0]] * 3), BOTH)
    assert shares is not None and shares[0] > 0.99


def test_without_a_replicate_nothing_is_known() -> None:
    """One seed per config tells no spread; nor does no config at all."""
    assert front_probabilities([{1: 2.0}, {1: 3.0}], SIZES, BOTH) is None
    assert front_probabilities([], np.zeros((0, 1)), BOTH) is None


def test_one_of_fewer_bytes_is_on_the_front_whatever_it_scores() -> None:
    """Nothing can dominate the smallest."""
    scores = replicated([1.0, 9.0], 0.5, 3)
    shares = front_probabilities(scores, np.array([[200.0], [100.0]]), BOTH)
    assert shares is not None and shares.tolist() == [1.0, 1.0]


def test_three_objectives_are_sorted_as_two_are() -> None:
    """A third column that is equal for all changes no probability by more than the smaller number of draws does."""
    scores = replicated([1.0, 1.2, 1.4, 3.0], 0.3, 3)
    sizes = np.array([[100.0], [90.0], [90.0], [80.0]])
    two = front_probabilities(scores, sizes, BOTH)
    three = front_probabilities(scores, np.column_stack([sizes, np.ones(4)]), [*BOTH, "max"])
    assert two is not None and three is not None
    np.testing.assert_allclose(two, three, atol=0.12)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 10), min_size=2, max_size=8), st.floats(0.01, 2), st.integers(0, 99))
def test_it_is_a_probability_and_a_function_of_its_input(means: list[float], std: float, seed: int) -> None:
    """In [0, 1], equal for equal input, at least one of each draw is on the front, and scale does not matter."""
    scores = replicated(means, std, 2, seed)
    sizes = np.linspace(100, 200, len(means))[:, None]
    shares = front_probabilities(scores, sizes, BOTH)
    again = front_probabilities(scores, sizes, BOTH)
    doubled = front_probabilities([{s: 2 * v for s, v in one.items()} for one in scores], sizes, BOTH)
    assert shares is not None and again is not None and doubled is not None
    assert ((shares >= 0) & (shares <= 1)).all() and shares.sum() >= 1 - 1e-9
    np.testing.assert_array_equal(shares, again)
    np.testing.assert_allclose(shares, doubled, atol=0.02)


def test_equal_configs_are_drawn_to_one_mean() -> None:
    """Where configs differ by noise alone their means are shrunken to the trend; where they differ truly they stay."""
    rng = np.random.default_rng(3)
    nums, sizes = np.ones(200), np.linspace(1e5, 1e6, 200)
    noise = rng.standard_normal(200)
    shrunken, weights = shrunken_means(noise, nums, 1.0, sizes)
    assert weights.max() < 0.4
    assert shrunken.std() < 0.4 * noise.std() and shrunken.min() > 0.4 * noise.min()
    far = 100 * rng.standard_normal(200)
    np.testing.assert_allclose(shrunken_means(far, nums, 1.0, sizes)[0], far, rtol=0.01, atol=0.1)
    np.testing.assert_array_equal(shrunken_means(np.array([1.0]), np.ones(1), 1.0, np.array([5.0]))[0], [1.0])


def test_one_seed_that_went_wrong_does_not_make_all_configs_alike() -> None:
    """The spread of one config among many replicated ones is cut: the front stays where it is."""
    rng = np.random.default_rng(5)
    means = rng.normal(3.0, 0.05, 100)
    scores = [
        {s: m + 0.004 * float(rng.standard_normal()) for s in ((1, 2, 3) if i < 25 else (1,))}
        for i, m in enumerate(means)
    ]
    sizes = np.linspace(1e5, 1e6, 100)[:, None]
    before = front_probabilities(scores, sizes, BOTH)
    scores[7][2] += 3.0
    after = front_probabilities(scores, sizes, BOTH)
    assert before is not None and after is not None
    others = np.arange(100) != 7
    assert (after[others] > 0.05).sum() <= (before[others] > 0.05).sum() + 5


def test_a_seed_that_a_config_lacks_is_no_doubt_about_it() -> None:
    """Effects of seeds are taken out: three seeds against one, with large effects, compare as without any."""
    rng = np.random.default_rng(6)
    effects = {1: 0.5, 2: -0.5, 3: 0.0}
    scores = [
        {
            s: (2.0 if i == 0 else 2.1) + e + 0.005 * float(rng.standard_normal())
            for s, e in effects.items()
            if s == 1 or i % 2
        }
        for i in range(40)
    ]
    shares = front_probabilities(scores, np.full((40, 1), 100.0), BOTH)
    assert shares is not None and shares[0] > 0.99
