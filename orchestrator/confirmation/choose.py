"""Which configs are confirmed: the best of the front, and for each a rival of equal bytes. Pure.

A config that froze some of its weights is held against the best one that learned all of them, and the other way round:
that is the question a sweep of freeze variants asks. The rival was tuned by the same search, which a control that
inherits the settings of a frozen config was not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from results.analysis.front_probability import seed_model, shrunken_means
from results.analysis.pareto import pareto_mask
from results.analysis.per_device import are_per_device
from results.analysis.replicate_groups import by_key, is_suspect
from results.tables.schema import CONTROL_RECIPE
from search_spaces.spec.sweep_spec import SIZES, SweepSpec, score_column

# Bytes of a rival over those of the config.
LEAST_BYTES_RATIO, MOST_BYTES_RATIO = 0.98, 1.03

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A config that the search trained: its score as it is believed, and its bytes."""

    config_id: str
    is_learned: bool
    score: float
    artifact_bytes: float
    scored_on: tuple[Any, ...]
    others: tuple[float, ...]  # values of the other objectives


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen:
    """A config that is to be confirmed, and the one that it is compared with; None for a rival, or without one."""

    config_id: str
    against: str | None
    is_of_front: bool


def choose(spec: SweepSpec, rows: Iterable[Row], confirmed: Collection[str] = ()) -> list[Chosen]:
    """The configs to be confirmed, each once: those of the front by score, and their rivals.

    Args:
        rows: of the search's trials.
        confirmed: config ids of the front that were confirmed before; they count, and are not chosen again.
    """
    found = believed(spec, rows)
    if not found:
        return []
    way = 1.0 if spec.objectives.get(score_column(spec.objectives), "min") == "min" else -1.0
    directions = [spec.objectives.get(score_column(spec.objectives), "min"), *_others(spec).values()]
    front = sorted(_front(found, directions), key=lambda one: way * one.score)
    new = [one for one in front if one.config_id not in confirmed]
    chosen: dict[str, Chosen] = {}
    for one in new[: max(0, spec.num_confirmed - len(confirmed))]:
        rival = _rival(one, found, way)
        # two of the front may be each other's rivals: that is one comparison
        is_known = rival is not None and rival.config_id in chosen and chosen[rival.config_id].against == one.config_id
        against = rival.config_id if rival is not None and not is_known else None
        chosen[one.config_id] = Chosen(config_id=one.config_id, against=against, is_of_front=True)
        if rival is not None:
            chosen.setdefault(rival.config_id, Chosen(config_id=rival.config_id, against=None, is_of_front=False))
    return list(chosen.values())


def _front(found: Sequence[Found], directions: Sequence[Any]) -> Iterator[Found]:
    """Of each text that was scored, as losses on other tokens do not compare, and of each device where it counts."""
    for scored_on in dict.fromkeys(one.scored_on for one in found):
        alike = [one for one in found if one.scored_on == scored_on]
        mask = pareto_mask([[one.score, *one.others] for one in alike], directions)
        yield from (one for one, is_on in zip(alike, mask, strict=True) if is_on)


def believed(spec: SweepSpec, rows: Iterable[Row]) -> list[Found]:
    """Every config whose trials were all scored and keep the limits; scores are shrunken means over seeds.

    Where an objective depends on the device, a config counts once for each accelerator.
    """
    column, others = score_column(spec.objectives), _others(spec)
    by_device = ["accelerator"] if are_per_device(spec.objectives) else []
    groups = [
        group
        for group in by_key([dict(row) for row in rows if not is_suspect(row)], ["config_id", *by_device]).values()
        if all(row["status"] == "completed" and row["feasible"] is not False for row in group)
        and all(row.get(name) is not None for row in group for name in (column, "artifact_bytes", *others))
    ]
    if not groups:
        return []
    scores = [{row["seed"]: row[column] for row in group} for group in groups]
    sizes = np.array([max(row["artifact_bytes"] for row in group) for group in groups], dtype=np.float64)
    model = seed_model(scores)
    means = np.array([sum(by_seed.values()) / len(by_seed) for by_seed in scores])
    if model is not None:
        nums = np.array([float(len(one)) for one in scores])
        means, _ = shrunken_means(model.means, nums, model.std, sizes)
    return [
        Found(
            config_id=group[0]["config_id"],
            is_learned=group[0]["recipe"] == CONTROL_RECIPE,
            score=float(mean),
            artifact_bytes=float(size),
            scored_on=(group[0]["data_sha256"], group[0]["eval_tokens"], *(group[0][name] for name in by_device)),
            others=tuple(_together(group, name) for name in others),
        )
        for group, mean, size in zip(groups, means, sizes, strict=True)
    ]


def _others(spec: SweepSpec) -> dict[str, Any]:
    column = score_column(spec.objectives)
    return {name: direction for name, direction in spec.objectives.items() if name != column}


def _together(group: Sequence[Row], name: str) -> float:
    values = [float(row[name]) for row in group]
    return max(values) if name in SIZES else sum(values) / len(values)


def _rival(one: Found, found: Sequence[Found], way: float) -> Found | None:
    """The best of the other sort, with as many bytes."""
    least, most = LEAST_BYTES_RATIO * one.artifact_bytes, MOST_BYTES_RATIO * one.artifact_bytes
    near = [
        other
        for other in found
        if other.is_learned != one.is_learned
        and least <= other.artifact_bytes <= most
        and other.scored_on == one.scored_on
    ]
    return min(near, key=lambda other: way * other.score, default=None)
