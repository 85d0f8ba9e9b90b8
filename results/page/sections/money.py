"""The section `money`: where did the time and the dollars go?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from results.analysis.night.spending import (
    CHECKS,
    COLUMNS,
    IDLE,
    LOST,
    NOT_FINISHED,
    Cost,
    Spending,
    spending,
)
from results.analysis.night.uses import DOMINATED, FRONT, NOT_RANKED, OVER_LIMIT, uses_of
from results.page.bars import Bar, bars_chart
from results.page.html import Html, Section, element, joined, table
from results.page.page_info import PageInfo
from results.page.texts import hours_text, number_of, share_text, unit_of, usd_text

# The colour of a use is that of its trials in the other views.
_CLASSES = {
    FRONT: "front",
    DOMINATED: "dominated",
    NOT_RANKED: "dominated",
    OVER_LIMIT: "infeasible",
    "stopped early": "stopped",
    **{use: "idle" for use in (LOST, IDLE, NOT_FINISHED, *CHECKS)},
}


def section(page: PageInfo) -> Section | None:
    """Bars and tables of each run: by what came of the trials, and by what the time was spent on."""
    uses: list[list[str]] = [[] for _ in page.parts]
    for run, use in zip(page.run_of_row, uses_of(page.info, page.rows), strict=True):
        uses[run].append(use)
    runs = zip(page.run_names, page.parts, uses, strict=True)
    found = [(name, spending(part, its_uses)) for name, part, its_uses in runs]
    parts: list[Html] = []
    for name, spent in found:
        if spent is not None:
            heading = [element("h3", name)] if len(found) > 1 else []
            parts += [*heading, *_of_run(spent)]
    return Section(id="money", title="Where the money went", html=joined(parts)) if parts else None


def _of_run(spent: Spending) -> Iterator[Html]:
    yield element("p", answer(spent), class_="answer")
    by_use = [_bar(use, cost, spent, _CLASSES.get(use, "wasted")) for use, cost in spent.uses.items()]
    shown = {phase: cost for phase, cost in spent.phases.items() if cost.seconds or cost.micro_usd}
    by_phase = [_bar(phase, cost, spent, "plain") for phase, cost in shown.items()]
    yield element(
        "div",
        element("div", element("h4", "By what came of it"), bars_chart(by_use, "Cost by what came of the trials")),
        element("div", element("h4", "By what trials did"), bars_chart(by_phase, "Cost by phase of the trials")),
        class_="pair",
    )
    yield _cells(spent, list(shown))
    yield element("p", _explanation(spent), class_="note")


def answer(spent: Spending) -> str:
    """The sum in one sentence: how much of it bought the front, and how much bought nothing."""
    total = spent.total
    sums = usd_text(total.usd) if total.usd is not None else f"{hours_text(total.seconds)} of machines"
    text = f"{sums}: {_share(spent.uses.get(FRONT), total)} for configs on the front"
    for use in (IDLE, LOST):
        if use in spent.uses:
            text += f", {_share(spent.uses[use], total)} {use}"
    return f"{text}."


def _share(cost: Cost | None, total: Cost) -> str:
    if cost is None:
        return "nothing"
    if cost.micro_usd is not None and total.micro_usd:
        return share_text(cost.micro_usd, total.micro_usd)
    return share_text(cost.seconds, total.seconds)


def _bar(name: str, cost: Cost, spent: Spending, class_: str) -> Bar:
    is_priced = spent.total.usd is not None
    trials = spent.num_trials.get(name)
    shown = [hours_text(cost.seconds), *([usd_text(cost.usd)] if is_priced else [])]
    return Bar(
        name=name if trials is None else f"{name} ({number_of(trials, 'trial')})",
        value=(cost.usd or 0.0) if is_priced else cost.seconds,
        shown=", ".join(reversed(shown)),
        class_=class_,
    )


def _cells(spent: Spending, phases: list[str]) -> Html:
    """Uses by phases, with sums that add up: in dollars, or in hours where nothing has a price."""
    is_priced = spent.total.usd is not None
    unit, size = unit_of(spent.total.seconds)

    def cell(cost: Cost | None) -> str:
        if cost is None:
            return "–"
        return f"{cost.usd or 0.0:,.2f}" if is_priced else f"{cost.seconds / size:,.2f}"

    def row(name: str, costs: Sequence[Cost | None], whole: Cost) -> list[str]:
        return [name, *map(cell, costs), cell(whole), *([hours_text(whole.seconds)] if is_priced else [])]

    rows = [row(use, [spent.cells.get((use, phase)) for phase in phases], cost) for use, cost in spent.uses.items()]
    rows.append(row("sum", [spent.phases[phase] for phase in phases], spent.total))
    return table(["US dollars" if is_priced else unit, *phases, "all", *(["time"] if is_priced else [])], rows)


def _explanation(spent: Spending) -> str:
    if not spent.has_machines:
        return "This run has no account of its machines: time is what trials took by their own clocks, idle is unknown."
    texts = [
        "Time is that of whole machines, by the share that a trial held, as in frostline's account: trials, "
        "repeats and idle add up to what the machines cost.",
        f"{COLUMNS[-1].capitalize()}: starting a process, loading data, waiting.",
    ]
    if spent.total.usd is None:
        texts.append("No machine has a price: give prices in the sweep file, or --usd-per-hour to cluster join.")
    elif spent.num_unpriced:
        texts.append(f"{number_of(spent.num_unpriced, 'machine')} without a price: their time counts, and no dollar.")
    return " ".join(texts)
