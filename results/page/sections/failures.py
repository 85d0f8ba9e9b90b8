"""The section `failures`: what became of the trials, why some have no score, and what early stopping saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from results.analysis.early_stopping import stopping_summary
from results.analysis.night.failures import Failure, failures
from results.page.html import Html, Section, element, joined, table
from results.page.page_info import PageInfo
from results.page.texts import sentence, share_text

_MOST = 20


def section(page: PageInfo) -> Section:
    """Statuses, early stopping in a line, and the errors, equal ones together."""
    statuses = [
        (status.replace("_", " "), f"{count:,}", share_text(count, page.info.num_trials))
        for status, count in page.info.status_counts.items()
    ]
    parts = [table(("status", "trials", "share"), statuses)]
    saved = stopping_summary(page.rows, page.metric)
    if saved is not None:
        parts.append(element("p", sentence(f"early stopping: {saved.text()}")))
    parts += _failures(failures(page.rows))
    return Section(id="failures", title="What became of the trials", html=joined(parts))


def _failures(found: Sequence[Failure]) -> Iterator[Html]:
    if not found:
        return
    yield element("h3", "Trials without a score")
    rows = [
        (
            one.status.replace("_", " "),
            one.error,
            f"{one.num_trials:,}",
            ", ".join(one.accelerators) or "–",
            one.example,
        )
        for one in found[:_MOST]
    ]
    yield table(("status", "last line of the error", "trials", "on", "for example"), rows, text_columns=(0, 1, 3, 4))
    if (more := len(found) - _MOST) > 0:
        others = sum(one.num_trials for one in found[_MOST:])
        yield element("p", f"{more:,} more messages, of {others:,} trials, are in the tables.", class_="note")
