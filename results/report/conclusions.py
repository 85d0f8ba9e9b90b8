"""What a run shows, in words: each config against its control, and whether the difference is more than noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group
from results.report.formatting import with_interval

MAX_SHOWN = 6
FOUND = "Found, beyond the noise between seeds (the 95 % interval leaves out 0):"
NOISE = "Still noise (the interval holds 0, or there is none): more seeds would tell"


def conclusions(info: ParetoInfo) -> list[str]:
    """A heading and a line per comparison, of what was found and of what is still noise; empty without controls.

    Of configs that keep every constraint; the largest differences come first.
    """
    compared = [group for group in info.feasible if group.control is not None and group.control.ce_pct is not None]
    found = [group for group in compared if _is_found(group)]
    noise = [group for group in compared if not _is_found(group)]
    return [*_part(FOUND, found, info), *_part(NOISE, noise, info)]


def _part(heading: str, groups: Sequence[Group], info: ParetoInfo) -> Iterator[str]:
    if groups:
        yield heading
        ordered = sorted(groups, key=lambda group: -abs(_mean(group)))
        yield from (f"  {_sentence(group, info)}" for group in ordered[:MAX_SHOWN])
        if len(ordered) > MAX_SHOWN:
            yield f"  and {len(ordered) - MAX_SHOWN} more"


def _is_found(group: Group) -> bool:
    assert group.control is not None and group.control.ce_pct is not None
    half_width = group.control.ce_pct.half_width
    return half_width is not None and abs(_mean(group)) > half_width


def _mean(group: Group) -> float:
    assert group.control is not None and group.control.ce_pct is not None
    return group.control.ce_pct.mean


def _sentence(group: Group, info: ParetoInfo) -> str:
    """`selective 2L64d: CE +0.85 ± 0.34 % (worse) against baseline 2L64d, with 22 % fewer bytes (3 seeds)`."""
    assert group.control is not None and group.control.ce_pct is not None
    found = group.control.ce_pct
    control = next(one for one in info.groups if one.config_id == group.control.config_id)
    verdict = f" ({'better' if found.mean < 0 else 'worse'})" if _is_found(group) else ""
    size = _size(group.artifact_bytes, control.artifact_bytes)
    seeds = "1 seed" if found.num == 1 else f"{found.num} seeds"
    difference = f"CE {with_interval(found, 2, '+')} %{verdict}"
    return f"{group.label}: {difference} against {control.label}{size} ({seeds})"


def _size(num_bytes: int | None, of_control: int | None) -> str:
    if not num_bytes or not of_control:
        return ""
    percent = round(100 * (num_bytes / of_control - 1))
    if percent == 0:
        return ", with as many bytes"
    return f", with {abs(percent)} % {'fewer' if percent < 0 else 'more'} bytes"
