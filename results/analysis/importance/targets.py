"""Which settings of a run mattered: one row per setting and target, or the reason why it cannot be told."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from results.analysis.importance.varied import Settings, Varied, ties, varied_settings
from results.analysis.objectives import read_sweep
from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group
from results.tables.load import Tables

Target = Literal["ce at equal bytes", "reaching the front"]
EQUAL_BYTES: Target = "ce at equal bytes"
REACHING_FRONT: Target = "reaching the front"

# `benchmarks/importance.py`: with 20 configs a model of the settings was good enough to be shown in 1 of 40 searches,
# with 30 in 9, with 50 in all.
MIN_CONFIGS = 30
# PED-ANOVA looks at the best tenth; Optuna's documentation asks for five configs in it.
MIN_CONFIGS_OF_FRONT = 50
MIN_RANKED = 5
MAX_CONFIGS = 1_000  # more are drawn from: the intervals are narrow by then
MAX_SHARE_AT_FRONT = 0.5
ADAPTIVE = ("tpe", "ehvi")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Importance:
    """What one setting does for one target, or why nothing can be told of the target.

    Args:
        target: what the setting matters for.
        setting: key as in sweep files; `a + b` where these were only ever changed together; None with a reason.
        effect: in `unit`, 0 or more; None with a reason. nats: the typical change of ce (a standard deviation) when the
            setting is drawn anew while bytes and all else stay. share: of what tells configs near the front from the
            others.
        low, high: 95 % interval; where it begins at 0, the effect may be chance.
        num_configs: that it rests on: those that have the setting.
        reason: why nothing can be told; None where there is an effect.
        notes: what a reader must know, in sentences; the same one may stand at several settings.
    """

    target: Target
    setting: str | None
    effect: float | None
    low: float | None
    high: float | None
    unit: Literal["nats", "share"]
    num_configs: int
    reason: str | None = None
    notes: tuple[str, ...] = ()


def importances(tables: Tables, info: ParetoInfo) -> tuple[Importance, ...]:
    """Both targets, `ce at equal bytes` first, in each the largest effect first; each has one row or more.

    A config counts once, with its mean over seeds. The order of rows changes nothing, and the same tables give the same
    numbers. Of more than 1,000 configs, 1,000 are used, chosen by a hash of their ids; a note says so.
    """
    cases, of_search = _of_sweep(tables)
    of_text, notes = _compared(info.groups, _scored_text)
    of_front, notes_on_front = _compared(info.groups, lambda group: group.scored_on)
    return (
        *_equal_bytes(_sized(of_text), cases, [*notes, *of_search]),
        *_reaching_front(of_front, cases, [*notes_on_front, *of_search]),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sample:
    """The configs of one target, the settings that vary among them, and what is to be said of both."""

    configs: list[Group]
    settings: list[Varied]
    notes: list[str]


def _scored_text(group: Group) -> tuple[Any, ...]:
    """Where it is equal, losses per token compare, whatever the objectives are."""
    text = (group.data_sha256, group.settings["cfg_eval_tokens"], group.settings["cfg_model_vocab_size"])
    return (*group.scored_on, *text)


def _compared(groups: Sequence[Group], key_of: Callable[[Group], tuple[Any, ...]]) -> tuple[list[Group], list[str]]:
    """The configs of the largest set with an equal key, in an order that no reading of files changes."""
    counts = Counter(map(key_of, groups))
    largest = min(counts, key=lambda key: (-counts[key], str(key)), default=())
    chosen = [group for group in groups if key_of(group) == largest]
    left_out = len(groups) - len(chosen)
    notes = [f"{left_out} configs were scored on other tokens or devices: they take no part."] if left_out else []
    return sorted(chosen, key=lambda one: (one.config_id, str(one.data_sha256), one.accelerators)), notes


def _sized(configs: Sequence[Group]) -> list[Group]:
    return [group for group in configs if group.artifact_bytes]


def _of_sweep(tables: Tables) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The cases of the run's sweep file, and how its configs were chosen; nothing is known of several files."""
    found = [read_sweep(path) for folder in tables.folders if (path := folder / "sweep.yaml").is_file()]
    cases = found[0].get("cases") if len(found) == 1 else None
    methods = sorted({str((one.get("search") or {}).get("method")) for one in found} & set(ADAPTIVE))
    notes = [
        f"The configs were chosen by method {name}, which tries good places more often: what is shown holds for the "
        "configs that were tried, and is biased as a statement about the whole space."
        for name in methods
    ]
    return [case for case in cases or [] if isinstance(case, dict)], notes


def _sample(configs: Sequence[Group], cases: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> _Sample:
    chosen, said = list(configs), list(notes)
    if len(configs) > MAX_CONFIGS:
        by_hash = sorted(range(len(configs)), key=lambda index: (_hash(configs[index]), index))
        chosen = [configs[index] for index in sorted(by_hash[:MAX_CONFIGS])]
        said.append(f"Computed from {MAX_CONFIGS:,} of {len(configs):,} configs, chosen by a hash of their ids.")
    settings = varied_settings([_settings(group) for group in chosen], cases)
    return _Sample(configs=chosen, settings=settings, notes=said)


def _settings(group: Group) -> Settings:
    return {**group.settings, "recipe": group.recipe, "data": group.data}


def _hash(group: Group) -> bytes:
    return hashlib.blake2b(f"{group.config_id}/{group.data_sha256}".encode(), digest_size=8).digest()


def _equal_bytes(
    configs: Sequence[Group], cases: Sequence[Mapping[str, Any]], notes: Sequence[str]
) -> Iterator[Importance]:
    if reason := _too_few(configs, MIN_CONFIGS):
        yield _nothing(EQUAL_BYTES, "nats", len(configs), reason)
        return
    sample = _sample(configs, cases, notes)
    if not sample.settings:
        yield _nothing(EQUAL_BYTES, "nats", len(configs), "All configs have the same settings.")
        return
    from results.analysis.importance.equal_bytes import effects  # here: scikit-learn takes a second to load

    sizes = np.log([float(group.artifact_bytes or 1) for group in sample.configs])
    found = effects(sample.settings, sizes, np.array([group.ce.mean for group in sample.configs]))
    if found is None:
        reason = "The settings do not explain ce here: a model of them predicts no better than bytes alone do."
        yield _nothing(EQUAL_BYTES, "nats", len(configs), reason, sample.notes)
        return
    rows = [(one, (effect.nats, effect.low, effect.high)) for one, effect in zip(sample.settings, found, strict=True)]
    yield from _ordered(EQUAL_BYTES, "nats", sample, rows)


def _reaching_front(
    configs: Sequence[Group], cases: Sequence[Mapping[str, Any]], notes: Sequence[str]
) -> Iterator[Importance]:
    reason = _too_few(configs, MIN_CONFIGS_OF_FRONT)
    at_front = sum(group.on_front for group in configs)
    if reason is None and not 0 < at_front <= MAX_SHARE_AT_FRONT * len(configs):
        reason = f"{at_front} of {len(configs)} configs are on the front: nothing tells them from the others."
    if reason:
        yield _nothing(REACHING_FRONT, "share", len(configs), reason)
        return
    sample = _sample(configs, cases, notes)
    places = np.array([math.inf if group.rank is None else group.rank for group in sample.configs], dtype=np.float64)
    if (num_ranked := int(np.isfinite(places).sum())) < MIN_RANKED:
        few = f"only {num_ranked}" if num_ranked else "none"
        reason = f"Of {len(places):,} configs {few} can be on the front: too few to tell them from the others."
        yield _nothing(REACHING_FRONT, "share", len(configs), reason, sample.notes)
        return
    from results.analysis.importance.front import shares  # here: Optuna takes half a second to load

    found = shares(sample.settings, places) if sample.settings else None
    if found is None:
        reason = "No setting tells the configs near the front from the others more than chance does."
        yield _nothing(REACHING_FRONT, "share", len(configs), reason, sample.notes)
        return
    rows = [(one, (share.share, share.low, share.high)) for one, share in zip(sample.settings, found, strict=True)]
    yield from _ordered(REACHING_FRONT, "share", sample, rows)


def _too_few(configs: Sequence[Group], least: int) -> str | None:
    if len(configs) >= least:
        return None
    are = "config is" if len(configs) == 1 else "configs are"
    return f"{len(configs)} {are} too few: below {least}, effects are hardly ever told from chance."


def _nothing(
    target: Target, unit: Literal["nats", "share"], num: int, reason: str, notes: Sequence[str] = ()
) -> Importance:
    return Importance(
        target=target,
        setting=None,
        effect=None,
        low=None,
        high=None,
        unit=unit,
        num_configs=num,
        reason=reason,
        notes=tuple(notes),
    )


def _ordered(
    target: Target,
    unit: Literal["nats", "share"],
    sample: _Sample,
    rows: Sequence[tuple[Varied, tuple[float, float, float]]],
) -> Iterator[Importance]:
    """The largest effect first; equal ones by name."""
    of_pairs = [
        ((one.name, other.name), _tie_text(one, other, strength)) for one, other, strength in ties(sample.settings)
    ]
    for one, (effect, low, high) in sorted(rows, key=lambda row: (-row[1][0], row[0].name)):
        tied = [text for names, text in of_pairs if one.name in names]
        yield Importance(
            target=target,
            setting=one.name,
            effect=effect,
            low=low,
            high=high,
            unit=unit,
            num_configs=int(one.present.sum()),
            notes=(*sample.notes, *_notes_of(one, sample), *tied),
        )


def _tie_text(one: Varied, other: Varied, strength: float) -> str:
    names = f"{one.name} and {other.name}"
    return f"{names} go together (Cramér's V {strength:.2f}): what one of them does may be shown at the other."


def _notes_of(one: Varied, sample: _Sample) -> Iterator[str]:
    if len(one.keys) > 1:
        yield f"{' and '.join(one.keys)} were only ever changed together: they have one row."
    if not one.present.all():
        by = " and ".join(sorted(one.depends_on))
        num = int(one.present.sum())
        yield f"{one.name} exists only with some values of {by}: its row is of the {num} configs that have it."
    if dependent := [other.name for other in sample.settings if other.depends_on & set(one.keys)]:
        yield f"The row of {one.name} includes what comes and goes with it: {', '.join(dependent)}."
