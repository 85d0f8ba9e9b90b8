"""What a run shows, in words: what was confirmed, and what was only searched.

Confirmation alone decides claims. A control that inherits the settings of a frozen config was not tuned itself: the
difference from it is shown, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from results.analysis.claims import LEVEL, Claim
from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group
from results.report.formatting import confirmed_text, with_interval

MAX_SHOWN = 6
CONFIRMED = f"Confirmed with fresh seeds, on text that no choice has seen; p by Holm for {{claims}}, level {LEVEL}:"
FOUND = (
    "Searched, not confirmed: differences from the untuned control beyond the noise between seeds "
    "(the 95 % interval leaves out 0):"
)
NOISE = "Searched, and still noise (the interval holds 0, or there is none): more seeds would tell"


def conclusions(info: ParetoInfo) -> list[str]:
    """A heading and a line per comparison: what was confirmed, what was found, what is still noise; or nothing.

    Of configs that keep every constraint; the largest differences come first.
    """
    compared = [group for group in info.feasible if group.control is not None and group.control.ce_pct is not None]
    found = [group for group in compared if _is_found(group)]
    noise = [group for group in compared if not _is_found(group)]
    return [*_confirmed(info), *_part(FOUND, found, info), *_part(NOISE, noise, info)]


def _confirmed(info: ParetoInfo) -> Iterator[str]:
    groups = [group for group in info.groups if group.confirmed is not None]
    if not groups:
        return
    num = len(info.claims)
    yield CONFIRMED.format(claims="one claim" if num == 1 else f"all {num} claims")
    labels = {group.config_id: group.label for group in info.groups}
    yield from (f"  {claim_text(claim, labels, info)}" for claim in info.claims)
    compared = {name for claim in info.claims for name in (claim.config_id, claim.against)}
    for group in groups:
        what = (
            "" if group.config_id in compared else "; no config of the other sort has as many bytes: nothing to claim"
        )
        yield f"  {group.label}: {confirmed_text(group)}{_too_good(group)}{what}"


def claim_lines(info: ParetoInfo, config_id: str) -> list[str]:
    """What was claimed of one config against its rivals, a line each."""
    labels = {group.config_id: group.label for group in info.groups}
    return [claim_text(claim, labels, info) for claim in info.claims if claim.config_id == config_id]


def claim_text(claim: Claim, labels: Mapping[str, str], info: ParetoInfo) -> str:
    """`selective 2L80d against baseline 2L72d ×1.01 bytes: -0.0123 ± 0.0040 nats, better, p = 0.003 (5 pairs, CPU)`."""
    names = f"{labels.get(claim.config_id, claim.config_id)} against {labels.get(claim.against, claim.against)}"
    names += "" if claim.bytes_ratio is None else f" ×{claim.bytes_ratio:.2f} bytes"
    if claim.test is None or claim.p_value is None:
        lost = f": {_lost(claim.num_lost)}" if claim.num_lost else ""
        return f"{names}: not decided, fewer than two pairs{lost}"
    found = claim.test.difference
    lost = f", {_lost(claim.num_lost)}" if claim.num_lost else ""
    verdict = f"not decided{lost}" if not claim.is_decided else "better" if found.mean < 0 else "worse"
    unit = "bits/byte" if "bpb" in info.objectives else "nats/token"
    how = ", ".join([f"{found.num} pairs", *claim.accelerators])
    p_value = f"{claim.p_value:.2g}" if claim.p_value >= 0.001 else "below 0.001"
    return f"{names}: {with_interval(found, 4, '+')} {unit}, {verdict}, p {p_value} ({how})"


def _lost(number: int) -> str:
    trials = "1 fresh trial" if number == 1 else f"{number} fresh trials"
    return f"as {trials} gave no score or broke a limit"


def _too_good(group: Group) -> str:
    """How much better the search's figure was than fresh seeds on the same text."""
    assert group.confirmed is not None
    column = "bpb" if "bpb" in group.values else "ce"
    searched = group.estimates.get(column)
    if searched is None:
        return ""
    gap = group.confirmed.again.mean - searched.mean
    return f"; fresh seeds are {abs(gap):.4f} {'worse' if gap > 0 else 'better'} than the search's, on its own text"


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
    control = _control(group, group.control.config_id, info)
    verdict = f" ({'better' if found.mean < 0 else 'worse'})" if _is_found(group) else ""
    size = _size(group.artifact_bytes, control.artifact_bytes)
    seeds = "1 seed" if found.num == 1 else f"{found.num} seeds"
    difference = f"CE {with_interval(found, 2, '+')} %{verdict}"
    return f"{group.label}: {difference} against {control.label}{size} ({seeds})"


def _control(group: Group, config_id: str, info: ParetoInfo) -> Group:
    """The control on the same data, and on the same accelerator where that splits configs."""
    alike = (one for one in info.groups if (one.config_id, one.data_sha256) == (config_id, group.data_sha256))
    return next(one for one in alike if not info.kinds or one.kind == group.kind)


def _size(num_bytes: int | None, of_control: int | None) -> str:
    if not num_bytes or not of_control:
        return ""
    percent = round(100 * (num_bytes / of_control - 1))
    if percent == 0:
        return ", with as many bytes"
    return f", with {abs(percent)} % {'fewer' if percent < 0 else 'more'} bytes"
