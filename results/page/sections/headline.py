"""The section `headline`: what did I get for my bytes and dollars, and what was not counted?"""

from __future__ import annotations

from collections.abc import Iterator

from results.analysis.night.front_growth import Clock
from results.analysis.night.spending import spending
from results.analysis.objectives import read_sweep
from results.analysis.search_history import FILE_NAME as SUGGESTIONS
from results.page.html import Html, Section, element, joined
from results.page.page_info import PageInfo
from results.page.texts import hours_text, items, number_of, sentence, usd_text
from results.report import formatting
from results.report.conclusions import claim_text

_MOST_CLAIMS = 5


def section(page: PageInfo) -> Section:
    """Words alone: the best config under the limits, what was confirmed, what was spent, and what to be careful of.

    That a sweep still runs stands above it, in the head of the page.
    """
    parts = [
        element("p", formatting.headline(page.info), class_="lead"),
        _confirmed(page),
        items(map(sentence, _facts(page))),
        items(map(sentence, [*page.info.notes, *_cautions(page)]), "notes"),
        joined(element("blockquote", paragraph) for paragraph in _authors_notes(page)),
    ]
    return Section(id="headline", title="In short", html=joined(parts))


def _confirmed(page: PageInfo) -> Html:
    """What confirmation decided, which alone decides claims; all of them are in the section `controls`."""
    claims = page.info.claims
    if not claims:
        return Html("")
    labels = {group.config_id: group.label for group in page.info.groups}
    decided = [claim_text(claim, labels, page.info) for claim in claims if claim.is_decided]
    better = sum(claim.is_decided and claim.test is not None and claim.test.difference.mean < 0 for claim in claims)
    text = (
        f"Of {number_of(len(claims), 'claim')}, tested together with fresh seeds on text that no choice has seen: "
        f"{better} better than a learned model of about as many bytes, {len(decided) - better} worse, "
        f"{len(claims) - len(decided)} not decided."
    )
    more = len(decided) - _MOST_CLAIMS
    return joined([element("p", text), items([*decided[:_MOST_CLAIMS], *([f"and {more} more"] if more > 0 else [])])])


def _facts(page: PageInfo) -> Iterator[str]:
    info = page.info
    goals = formatting.objectives_text(info)
    keep = f"{number_of(len(info.feasible), 'keeps', 'keep')} {formatting.constraints_text(info)}"
    yield f"{number_of(len(info.groups), 'config')} with a score: {keep}, {len(info.front)} on the front of {goals}"
    if doubts := formatting.doubt_text(info):
        yield doubts
    yield from _costs(page)
    completed = info.status_counts.get("completed", 0)
    yield f"{completed:,} of {number_of(info.num_trials, 'trial')} completed; {formatting.not_counted_text(info)}"


def _costs(page: PageInfo) -> Iterator[str]:
    """Hours and dollars of each run."""
    for name, part in zip(page.run_names, page.parts, strict=True):
        spent = spending(part, ())
        if spent is None:
            continue
        machines = number_of(len(part.nodes), "machine") if len(part.nodes) else "devices"
        text = (
            f"{hours_text(Clock.of(part).seconds)} with trials at work, {hours_text(spent.total.seconds)} of {machines}"
        )
        if spent.total.usd is not None:
            text += f", {usd_text(spent.total.usd)}"
            if spent.num_unpriced:
                text += f" without {number_of(spent.num_unpriced, 'machine')} whose price nobody said"
        else:
            text += ", no prices" if len(part.nodes) else ", no account of machines"
        yield f"{name}: {text}" if len(page.parts) > 1 else text


def _cautions(page: PageInfo) -> Iterator[str]:
    """What makes figures look better than they are."""
    chosen = [
        name for name, folder in zip(page.run_names, page.folders, strict=True) if (folder / SUGGESTIONS).is_file()
    ]
    confirmed = any(group.confirmed is not None for group in page.info.groups)
    if chosen and not confirmed and len(page.info.feasible) > 1:
        yield (
            f"the configs were chosen by what had scored well, and the best of {len(page.info.feasible)} is shown: "
            "chance helped its score, on this text and with these seeds. confirm: {configs: 3} in the sweep file "
            "trains the best again with fresh seeds and scores them on other text"
        )


def _authors_notes(page: PageInfo) -> Iterator[str]:
    for folder in page.folders:
        path = folder / "sweep.yaml"
        notes = read_sweep(path).get("notes") if path.is_file() else None
        yield from (paragraph.strip() for paragraph in str(notes or "").split("\n\n") if paragraph.strip())
