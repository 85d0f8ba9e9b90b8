"""The section `runs`: what changed between the runs of the page, and which front is better?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from results.analysis.night.changes import (
    ABSENT,
    ScoredText,
    changes_between,
    common_text,
    facts_of,
    of_text,
    scored_texts,
)
from results.analysis.night.front_growth import Clock
from results.analysis.night.run_fronts import RunFronts, run_fronts
from results.analysis.night.spending import spending
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.replicate_groups import Group, Row
from results.page import svg
from results.page.html import Html, Section, element, joined, table
from results.page.marks import NUM_RUNS, mark
from results.page.page_info import PageInfo
from results.page.sections.hypervolume import values_text
from results.page.texts import hours_text, items, number_of, usd_text
from results.report.formatting import with_interval

WIDTH, HEIGHT = 960.0, 440.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 20.0, 34.0, 82.0
_MOST_CHANGES = 80


def section(page: PageInfo) -> Section | None:
    """Nothing for a single run."""
    if len(page.parts) < 2:
        return None
    rows = _rows_of_runs(page)
    infos = [pareto_info(part, page.goals.objectives, page.goals.constraints) for part in page.parts]
    text = common_text(rows)
    fronts = [] if text is None else run_fronts(infos, rows, text, page.goals.objectives)
    parts = [
        *_same_text(page, rows, text),
        _table(page, infos, [_best(page, *one, text) for one in zip(infos, rows, strict=True)], fronts),
        *_fronts(page, fronts),
        *_changes(page, rows),
    ]
    return Section(id="runs", title="Run against run", html=joined(parts))


def _rows_of_runs(page: PageInfo) -> list[list[Row]]:
    found: list[list[Row]] = [[] for _ in page.parts]
    for run, row in zip(page.run_of_row, page.rows, strict=True):
        found[run].append(row)
    return found


def _same_text(page: PageInfo, rows: Sequence[Sequence[Row]], text: ScoredText | None) -> Iterator[Html]:
    """Whether losses compare at all, before any is shown."""
    texts = [sorted(map(str, scored_texts(its_rows))) for its_rows in rows]
    if text is None:
        yield element(
            "p",
            "These runs were not scored on the same text (data, scored tokens or vocabulary differ), so their losses "
            "are never compared: there is no common front.",
            class_="warning",
        )
        yield items(
            f"{name}: {'; '.join(its) or 'no trial with a score'}"
            for name, its in zip(page.run_names, texts, strict=True)
        )
    elif any(len(its) > 1 for its in texts):
        yield element("p", f"Compared where all were scored on the same text: {text}.", class_="note")
    else:
        yield element("p", f"All were scored on the same text: {text}.", class_="note")


def _best(page: PageInfo, info: ParetoInfo, rows: Sequence[Row], text: ScoredText | None) -> Group | None:
    """The best config within the limits on the common text; without one, on the text of most trials of this run."""
    of_run = text or common_text([rows])
    trials = set() if of_run is None else {row["trial_id"] for row in of_text(rows, of_run)}
    ranked = [
        group
        for group in info.feasible
        if page.metric in group.estimates and any(one.trial_id in trials for one in group.replicates)
    ]
    return min(ranked, key=lambda group: group.estimates[page.metric].mean, default=None)


def _table(
    page: PageInfo, infos: Sequence[ParetoInfo], best_of: Sequence[Group | None], fronts: Sequence[RunFronts]
) -> Html:
    """A row for each run; hypervolumes where they compare."""
    volumes = [f"hypervolume{'' if one.kind is None else f' on {one.kind}'} ({one.unit})" for one in fronts]
    headers = ["run", "trials", "configs", "on its front", f"best {page.metric}", "in bytes", "time", "cost", *volumes]
    cells = []
    for i, (name, part, info, best) in enumerate(zip(page.run_names, page.parts, infos, best_of, strict=True)):
        spent = spending(part, ())
        cells.append(
            [
                name,
                f"{info.num_trials:,}",
                f"{len(info.groups):,}",
                f"{len(info.front):,}",
                ABSENT if best is None else with_interval(best.estimates[page.metric], 4),
                ABSENT if best is None or best.artifact_bytes is None else f"{best.artifact_bytes:,}",
                hours_text(Clock.of(part).seconds),
                ABSENT if spent is None else usd_text(spent.total.usd),
                *(f"{one.volumes[i]:.4f}" for one in fronts),
            ]
        )
    return table(headers, cells)


def _fronts(page: PageInfo, fronts: Sequence[RunFronts]) -> Iterator[Html]:
    two = {page.metric: "min", page.size: "min"}
    for one in fronts:
        if dict(page.goals.objectives) == two:
            yield element("div", _overlay(page, one), class_="scroll wide")
        where = "" if one.kind is None else f" on {one.kind}"
        yield element(
            "p",
            f"Each run's own front{where}. All hypervolumes are up to the worst config of all runs that keeps the "
            f"limits: {values_text(one.reference)}.",
            class_="note",
        )


def _overlay(page: PageInfo, found: RunFronts) -> Html:
    points = [[_point(page, group) for group in front] for front in found.fronts]
    every = [point for front in points for point in front]
    sizes = [size for size, _ in every]
    is_log = bool(sizes) and min(sizes) > 0
    x = svg.padded(sizes, LEFT, WIDTH - RIGHT, log=is_log)
    y = svg.padded((value for _, value in every), HEIGHT - BOTTOM, TOP)
    is_size = page.size.endswith("_bytes")
    return svg.chart(
        WIDTH,
        HEIGHT,
        f"Fronts of {number_of(len(points), 'run')}",
        svg.x_axis(x, HEIGHT - BOTTOM, page.size, top=TOP, write=svg.bytes_text if is_size else svg.short_number),
        svg.y_axis(y, LEFT, page.metric_label, right=WIDTH - RIGHT),
        *(_front(front, groups, i, x, y) for i, (front, groups) in enumerate(zip(points, found.fronts, strict=True))),
        _legend(page, HEIGHT - 16.0),
    )


def _point(page: PageInfo, group: Group) -> svg.Point:
    return float(group.values[page.size] or 0.0), float(group.values[page.metric] or 0.0)


def _front(points: Sequence[svg.Point], groups: Sequence[Group], run: int, x: svg.Scale, y: svg.Scale) -> Html:
    """Steps from the smallest to the largest config, with the mark of the run."""
    if not points:
        return Html("")
    placed = sorted((x(size), y(value), group.label) for (size, value), group in zip(points, groups, strict=True))
    steps = svg.step_line(
        [(left, top) for left, top, _ in placed] + [(x.end, placed[-1][1])], f"step run-{run % NUM_RUNS}"
    )
    marks = [
        mark((left, top), run % NUM_RUNS, f"filled run-{run % NUM_RUNS}", 4.5, label) for left, top, label in placed
    ]
    return joined([steps, *marks])


def _legend(page: PageInfo, y: float) -> Html:
    parts, x = [], LEFT
    for run, name in enumerate(page.run_names):
        shown = name if len(name) <= 30 else f"…{name[-29:]}"
        parts += [
            mark((x, y), run % NUM_RUNS, f"filled run-{run % NUM_RUNS}", 4.5),
            svg.text(x + 10, y + 4, shown, "legend"),
        ]
        x += 34.0 + 6.9 * len(shown)
    return joined(parts)


def _changes(page: PageInfo, rows: Sequence[Sequence[Row]]) -> Iterator[Html]:
    yield element("h3", "What changed")
    facts = [facts_of(folder, its_rows) for folder, its_rows in zip(page.folders, rows, strict=True)]
    found = changes_between(facts)
    if not found:
        yield element("p", "Nothing: same settings, seeds, versions and devices.")
        return
    cells = ([one.name, *one.values] for one in found[:_MOST_CHANGES])
    yield table(["setting", *page.run_names], cells, text_columns=range(len(page.run_names) + 1))
    if (more := len(found) - _MOST_CHANGES) > 0:
        yield element("p", f"{more} more differ.", class_="note")
