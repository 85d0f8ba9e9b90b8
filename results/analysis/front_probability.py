"""How likely each config is on the front, given that seeds differ: a bootstrap over seeds, jointly for all configs.

The score of a config over seeds is taken as mean + effect of the seed + rest. The effect of a seed is common to all
configs that were trained with it (the same batches, the same initial values of the same shapes), so it moves them
together; the rest has one spread, pooled over all configs with two or more seeds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from results.analysis.pareto import Direction, pareto_mask
from results.analysis.replicate_groups import Row, by_seed_and_id
from results.analysis.standing import Standing

Array = npt.NDArray[np.float64]

NUM_DRAWS = 1_000
NUM_DRAWS_OF_MANY_COLUMNS = 200  # with three objectives and more, each draw is sorted by itself
MAX_VARIANCE_RATIO = 10.0
MIN_WEIGHT = 0.05  # of a measured mean beside the trend
FAR = 5.0  # standard errors by which a config is dominated beyond doubt
ERROR_OF_A_MEDIAN = 1.2533  # over that of a mean, of normal values
NUM_ROUNDS = 20  # of the fit of means and seed effects, in turns


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedModel:
    """Means of configs, float64[n], effects of seeds with the standard errors of these, and the spread of what is left
    with its degrees of freedom."""

    means: Array
    effects: Mapping[int, float]
    effect_errors: Mapping[int, float]
    std: float
    num_degrees: int


def seed_model(scores: Sequence[Mapping[int, float]]) -> SeedModel | None:
    """Fit mean + effect of the seed + rest, in turns; None where no spread can be told.

    Args:
        scores: of each config, its score by seed.
    """
    seeds = sorted({seed for by_seed in scores for seed in by_seed})
    num_values = sum(map(len, scores))
    replicated = [by_seed for by_seed in scores if len(by_seed) >= 2]
    # seed effects are told apart by configs with several seeds; with one such config they are its rest
    num_effects = len({seed for by_seed in replicated for seed in by_seed}) - 1 if len(replicated) >= 2 else 0
    num_degrees = num_values - len(scores) - num_effects
    if num_degrees < 1:
        return None
    effects = _effects_of_seeds(replicated, seeds) if num_effects else dict.fromkeys(seeds, 0.0)
    means = np.array([sum(v - effects[seed] for seed, v in by_seed.items()) / len(by_seed) for by_seed in scores])
    squares = [
        math.fsum((value - effects[seed] - mean) ** 2 for seed, value in by_seed.items())
        for by_seed, mean in zip(scores, means, strict=True)
    ]
    std = math.sqrt(_robust_sum(squares, [len(by_seed) - 1 for by_seed in scores]) / num_degrees)
    counts = {seed: max(1, sum(seed in by_seed for by_seed in replicated)) for seed in effects}
    errors = {seed: ERROR_OF_A_MEDIAN * std / math.sqrt(count) for seed, count in counts.items()}
    return SeedModel(
        means=means,
        effects=effects,
        effect_errors=errors if num_effects else dict.fromkeys(effects, 0.0),
        std=std,
        num_degrees=num_degrees,
    )


def _effects_of_seeds(replicated: Sequence[Mapping[int, float]], seeds: Sequence[int]) -> dict[int, float]:
    """Of each seed, what it adds to the scores of configs that have it; 0 of a seed that only single trials have."""
    places = {seed: place for place, seed in enumerate(seeds)}
    seed_of = np.array([places[seed] for by_seed in replicated for seed in by_seed])
    scores = np.array([value for by_seed in replicated for value in by_seed.values()])
    nums = np.array([len(by_seed) for by_seed in replicated])
    config_of = np.repeat(np.arange(len(replicated)), nums)
    of_seed = [np.flatnonzero(seed_of == place) for place in range(len(seeds))]
    effects = np.zeros(len(seeds))
    for _ in range(NUM_ROUNDS):
        means = np.bincount(config_of, scores - effects[seed_of]) / nums
        rests = scores - means[config_of]
        # medians, so that one seed that went wrong in one config is no effect of that seed on all
        effects = np.array([np.median(rests[chosen]) if len(chosen) else 0.0 for chosen in of_seed])
    return dict(zip(seeds, effects.tolist(), strict=True))


def _robust_sum(squares: Sequence[float], degrees: Sequence[int]) -> float:
    """Sum of squares with each config's variance cut at `MAX_VARIANCE_RATIO` times the median one: a single seed that
    went wrong must not make all configs look alike."""
    variances = [square / number for square, number in zip(squares, degrees, strict=True) if number]
    most = MAX_VARIANCE_RATIO * float(np.median(variances)) or math.inf
    return math.fsum(min(square, most * number) for square, number in zip(squares, degrees, strict=True))


def shrunken_means(means: Array, nums: Array, std: float, sizes: Array | None) -> tuple[Array, Array]:
    """Means drawn to their common trend over the logarithm of bytes, by how much of their spread is noise; and how far
    each mean counts beside the trend, from 0 to 1.

    The best of many means is too good by chance; empirical Bayes takes that back (Efron and Morris, 1975).

    Args:
        means, nums: float64[n], of each config the mean score and the number of seeds.
        std: of a single seed.
        sizes: bytes; None for a constant trend.
    """
    columns = [np.ones(len(means))]
    if sizes is not None and len(np.unique(sizes)) >= 3 and len(means) >= 8:
        logs = np.log(np.maximum(sizes, 1.0))
        logs = (logs - logs.mean()) / max(float(logs.std()), 1e-12)
        columns += [logs, logs**2]
    design = np.stack(columns, axis=1)
    if len(means) <= design.shape[1]:
        return means, np.ones(len(means))
    noise = std**2 / nums
    trend = design @ np.linalg.lstsq(design, means, rcond=None)[0]
    variance = float(((means - trend) ** 2).sum()) / (len(means) - design.shape[1])
    between = max(0.0, variance - float(noise.mean()))
    weights = np.maximum(between / np.maximum(between + noise, 1e-300), MIN_WEIGHT)
    return trend + weights * (means - trend), weights


def front_probabilities(
    scores: Sequence[Mapping[int, float]],
    others: Array,  # (n, k - 1)
    directions: Sequence[Direction],
    *,
    size_column: int | None = None,
    seed: int = 0,
) -> Array | None:
    """Of each config, the share of draws in which nothing dominates it; None where the spread of seeds is unknown.

    Args:
        scores: of each config, the score by seed.
        others: values of the other objectives, which count as measured.
        directions: of the score and of the others.
        size_column: which of the others is a size in bytes, for the trend.
        seed: of the draws: the same input gives the same output.
    """
    model = seed_model(scores) if scores else None
    if model is None:
        return None
    nums = np.array([len(by_seed) for by_seed in scores], dtype=np.float64)
    sizes = None if size_column is None else others[:, size_column]
    means, weights = shrunken_means(model.means, nums, model.std, sizes)
    errors = model.std * np.sqrt(weights / nums)  # of the mean, given the trend
    sign = 1.0 if directions[0] == "min" else -1.0
    if others.shape[1] > 1:
        drawn = _draws(model, scores, means, errors, NUM_DRAWS_OF_MANY_COLUMNS, seed)
        found: Array = np.mean([pareto_mask(np.column_stack([one, others]), directions) for one in drawn], axis=0)
        return found
    costs = others[:, 0] if others.shape[1] else np.zeros(len(means))
    costs = costs if list(directions[1:]) != ["max"] else -costs
    kept = _may_be_first(sign * means, FAR * (errors + model.std * MIN_WEIGHT), costs)
    drawn = _draws(model, [scores[index] for index in kept], means[kept], errors[kept], NUM_DRAWS, seed)
    shares = np.zeros(len(means))
    shares[kept] = _on_front_of_two(sign * drawn, costs[kept]).mean(axis=0)
    return shares


def probabilities_of(
    configs: Sequence[Standing], ranks: Sequence[int | None], goals: Mapping[str, Direction]
) -> list[float | None]:
    """Of each config that has a rank, the probability that it is on the front, where the objectives hold ce or bpb."""
    column = next((name for name in ("bpb", "ce") if name in goals), None)
    if column is None:
        return [None] * len(configs)
    others = [name for name in goals if name != column]
    directions = [goals[column], *(goals[name] for name in others)]
    size_column = next((index for index, name in enumerate(others) if name in ("artifact_bytes", "total_bytes")), None)
    found: dict[int, float] = {}
    for scored_on in dict.fromkeys(one.scored_on for one in configs):
        by_seed = {
            index: _by_seed(one.members, column)
            for index, (one, rank) in enumerate(zip(configs, ranks, strict=True))
            if rank is not None and one.scored_on == scored_on
        }
        scores = {index: values for index, values in by_seed.items() if values}
        values = np.array([[configs[index].values[name] for name in others] for index in scores], dtype=np.float64)
        values = values.reshape(len(scores), len(others))
        shares = front_probabilities(list(scores.values()), values, directions, size_column=size_column)
        if shares is not None:
            found |= dict(zip(scores, map(float, shares), strict=True))
    return [found.get(index) for index in range(len(configs))]


def _by_seed(rows: Sequence[Row], column: str) -> dict[int, float]:
    """Score by seed; two runs of one seed are one value, as they are no independent evidence."""
    values: dict[int, list[float]] = {}
    for row in sorted(rows, key=by_seed_and_id):
        if row[column] is not None:
            values.setdefault(-1 if row["seed"] is None else row["seed"], []).append(row[column])
    return {seed: sum(numbers) / len(numbers) for seed, numbers in values.items()}


def _may_be_first(means: Array, doubts: Array, sizes: Array) -> npt.NDArray[np.intp]:
    """Which configs are not beyond doubt behind one of no more bytes: only these are drawn, for the time it takes."""
    order = np.argsort(sizes, kind="stable")
    bound = np.minimum.accumulate((means + doubts)[order])
    last = np.searchsorted(sizes[order], sizes[order], side="right") - 1
    return np.sort(order[(means - doubts)[order] <= bound[last]])


def _draws(
    model: SeedModel, scores: Sequence[Mapping[int, float]], means: Array, errors: Array, num_draws: int, seed: int
) -> Array:
    """Means as other seeds might have given them; float64[draws, n]."""
    generator = np.random.default_rng(seed)
    # a spread that few values tell may be larger: a draw of its own for each
    scale = np.sqrt(model.num_degrees / generator.chisquare(model.num_degrees, (num_draws, 1)))
    drawn = means + scale * errors * generator.standard_normal((num_draws, len(means)))
    # what is not known of a seed's effect is common to all configs that have it
    seeds = {one: index for index, one in enumerate(model.effects)}
    share = np.zeros((len(seeds), len(means)))  # of each seed in the mean of a config
    for column, by_seed in enumerate(scores):
        for one in by_seed:
            share[seeds[one], column] = 1 / len(by_seed)
    unknown = scale * np.array(list(model.effect_errors.values())) * generator.standard_normal((num_draws, len(seeds)))
    found: Array = drawn + unknown @ share
    return found


def _on_front_of_two(scores: Array, sizes: Array) -> npt.NDArray[np.bool_]:
    """For every draw, who has the best score among those of no more bytes; bool[draws, n]."""
    order = np.argsort(sizes, kind="stable")
    best = np.minimum.accumulate(scores[:, order], axis=1)
    # of equal sizes, all are held against the best of them
    last = np.searchsorted(sizes[order], sizes[order], side="right") - 1
    found = np.empty(scores.shape, dtype=bool)
    found[:, order] = scores[:, order] <= best[:, last]
    return found
