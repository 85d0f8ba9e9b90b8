"""The section of a report on its adaptive search: who chose, what was rejected, and what was predicted of the front."""

from __future__ import annotations

from collections.abc import Iterator

from results.analysis.pareto_info import ParetoInfo
from results.analysis.search_history import SearchHistory, front_hypervolume
from results.report.markdown import markdown_table


def search_section(info: ParetoInfo, history: SearchHistory | None) -> Iterator[str]:
    """How an adaptive search went; nothing of a plan."""
    if history is None:
        return
    yield from ("## Search", "")
    chosen = ", ".join(f"{count} {method}" for method, count in history.by_method.items())
    yield f"{history.num_configs} configs were chosen ({chosen});"
    share = f"{100 * history.rejected_share:.0f} %"
    yield f"{share} of all proposals were rejected, as they could not keep the limits in bytes, and"
    yield f"{history.num_duplicates} repeated an earlier one."
    if history.num_learned:
        yield f"It began with {history.num_learned} configs of earlier runs."
    yield from _hypervolumes(history, per_accelerator=bool(info.kinds))
    yield ""
    yield from _predictions(info, history)


def _hypervolumes(history: SearchHistory, *, per_accelerator: bool) -> Iterator[str]:
    """How far the front came, in ce and bytes; one for each accelerator where the objectives depend on it."""
    points = history.points(per_accelerator=per_accelerator)
    if not points:
        return
    every = [point for of_kind in points.values() for point in of_kind]
    reference = max(ce for ce, _ in every), max(size for _, size in every)
    for kind, of_kind in sorted(points.items(), key=str):
        where = f" on {kind or 'an unknown device'}" if per_accelerator else ""
        area = front_hypervolume(of_kind, reference)
        yield f"The hypervolume{where} is {area:.3f} nats × ln bytes, up to the worst that was measured:"
        yield f"ce {reference[0]:.4f} and {reference[1]:,.0f} bytes."


def _predictions(info: ParetoInfo, history: SearchHistory) -> Iterator[str]:
    """What was predicted of the configs on the front, beside what was measured."""
    if not history.known:
        return
    errors = [one.ce - one.predicted_score for one in history.known if one.ce is not None and one.predicted_score]
    if "ce" in info.objectives:
        mean_error = sum(map(abs, errors)) / len(errors)
        yield f"Of {len(errors)} configs that were predicted, the mean error of ce was {mean_error:.3f} nats."
        yield ""
    front = {replicate.trial_id: group for group in info.front for replicate in group.replicates}
    shown = [(one, front[one.trial_ids[0]]) for one in history.known if one.trial_ids[0] in front]
    header = ("on the front", "predicted", "measured ce", "predicted bytes", "measured bytes", "suggestion")
    yield from markdown_table(
        header,
        [
            (
                group.label,
                f"{one.predicted_score:.4f} ± {one.predicted_std or 0:.4f}",
                f"{one.ce:.4f}",
                f"{one.predicted_bytes or 0:,}",
                f"{one.artifact_bytes or 0:,}",
                str(one.number),
            )
            for one, group in shown
        ],
    )
    yield ""
