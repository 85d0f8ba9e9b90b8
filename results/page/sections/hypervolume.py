"""The section `hypervolume`: how the front grew, and was the second half of the night worth it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from results.analysis.night.forecasts import LATE, Expected, ForecastCall, read_forecasts
from results.analysis.night.front_growth import FrontGrowth, Moment, front_growth
from results.page import svg
from results.page.html import Html, Section, element, joined, table
from results.page.page_info import PageInfo
from results.page.texts import hours_text, sentence, unit_of, usd_text
from results.report.forecast_section import HEADERS, forecast_cells

WIDTH, HEIGHT = 480.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 34.0, 52.0
_WORDS = {"h": "hours", "min": "minutes", "s": "seconds"}


def section(page: PageInfo) -> Section | None:
    """Steps over hours and over dollars, and what was forecast beside what came. Of one run: see `runs` for several."""
    if len(page.parts) > 1:
        return None
    fronts = front_growth(page.tables, page.info, page.rows)
    parts = [*_growth(fronts, page), *_forecasts(read_forecasts(page.folders[0]))]
    return Section(id="hypervolume", title="Was the night worth it?", html=joined(parts)) if parts else None


def _growth(fronts: Sequence[FrontGrowth], page: PageInfo) -> Iterator[Html]:
    if not fronts:
        return
    for front in fronts:
        name = f"{front.name}: " if front.name else ""
        yield element("p", f"{name}{sentence(second_half_text(front, _first_objective(page)))}", class_="answer")
    yield element("div", *_charts(fronts), class_="pair")
    is_cut = any(front.moments[0].volume < _lowest(fronts) for front in fronts)
    cut = " What the first twentieth of the time has won is cut off below." if is_cut else ""
    references = "; ".join(
        f"{front.name + ': ' if front.name else ''}{values_text(front.reference)}" for front in fronts
    )
    yield element(
        "p",
        "Hypervolume: how much room in the objectives the front has won, up to the worst config that keeps the limits "
        f"({references}). A config counts from the end of its first trial, with its final means.{cut}",
        class_="note",
    )


def _first_objective(page: PageInfo) -> str:
    name = next(iter(page.goals.objectives))
    return page.metric_label if name == page.metric else name.replace("_", " ")


def second_half_text(front: FrontGrowth, objective: str) -> str:
    """What the second half of the time brought: to the hypervolume, and to the first objective against its noise."""
    last, half = front.moments[-1], front.at(front.seconds / 2)
    time = f"the second half ({hours_text(front.seconds / 2)}{_usd_of_half(front)})"
    if half is None:
        return f"the first config with a score came in {time}"
    if half == last:
        return f"{time} found nothing that the front did not have"
    grown = f"{time} made {_percent(last.volume - half.volume, last.volume)} of the hypervolume"
    gain = abs(half.best - last.best)
    if not gain:
        return f"{grown}; the best {objective} was known before"
    noise = ""
    if last.half_width is not None:
        noise = (
            f", {'more' if gain > last.half_width else 'less'} than its 95 % interval of ± {_value(last.half_width)}"
        )
    return f"{grown}; the best {objective} went from {_value(half.best)} to {_value(last.best)}{noise}"


def _value(value: float) -> str:
    """Large ones, as of bytes and speeds, without digits after the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"


def _usd_of_half(front: FrontGrowth) -> str:
    if front.usd is None or front.usd_at_half is None:
        return ""
    return f", {usd_text(front.usd - front.usd_at_half)}"


def _percent(part: float, whole: float) -> str:
    share = 100 * part / whole if whole > 0 else 0.0
    return "less than 0.1 %" if share < 0.1 else f"{share:.1f} %"


def values_text(values: Mapping[str, float]) -> str:
    """`ce 5.1234, artifact_bytes 1,234,567`."""
    return ", ".join(
        f"{goal} {value:,.0f}" if float(value).is_integer() and abs(value) >= 1000 else f"{goal} {value:.4g}"
        for goal, value in values.items()
    )


def _charts(fronts: Sequence[FrontGrowth]) -> Iterator[Html]:
    unit, seconds = unit_of(max(front.seconds for front in fronts))
    yield _chart(fronts, _WORDS[unit], lambda one: one.seconds / seconds, lambda front: front.seconds / seconds)
    if all(front.usd for front in fronts):
        yield _chart(fronts, "US dollars", lambda one: one.usd or 0.0, lambda front: front.usd or 0.0)


def _chart(
    fronts: Sequence[FrontGrowth],
    unit: str,
    x_of: Callable[[Moment], float],
    end_of: Callable[[FrontGrowth], float],
) -> Html:
    end = max(map(end_of, fronts))
    x = svg.Scale(0.0, end or 1.0, LEFT, WIDTH - RIGHT)
    y = svg.padded([_lowest(fronts), *(front.moments[-1].volume for front in fronts)], HEIGHT - BOTTOM, TOP)
    lines = [_steps(front, number, x, y, x_of, end_of(front)) for number, front in enumerate(fronts)]
    units = {front.unit for front in fronts}
    return svg.chart(
        WIDTH,
        HEIGHT,
        f"Hypervolume of the front over {unit}",
        svg.x_axis(x, HEIGHT - BOTTOM, unit, top=TOP),
        svg.y_axis(y, LEFT, f"hypervolume ({' or '.join(sorted(units))})", right=WIDTH - RIGHT),
        svg.line((x(end / 2), TOP), (x(end / 2), HEIGHT - BOTTOM), "half"),
        *lines,
    )


def _lowest(fronts: Sequence[FrontGrowth]) -> float:
    """What was there after a twentieth of the time: the first configs win more than all that come after."""
    first = [front.at(front.seconds / 20) or front.moments[0] for front in fronts]
    low, high = min(one.volume for one in first), max(front.moments[-1].volume for front in fronts)
    return low if high - low > 0.02 * high else 0.0


def _steps(
    front: FrontGrowth,
    number: int,
    x: svg.Scale,
    y: svg.Scale,
    x_of: Callable[[Moment], float],
    end: float,
) -> Html:
    points = [(x(x_of(one)), min(y.start, y(one.volume))) for one in front.moments]
    start, last = (points[0][0], y(y.low)), (x(end), points[-1][1])
    marks = (
        [svg.dot(point, "circle", f"series-{number % 4} point", 3.0) for point in points] if len(points) <= 30 else []
    )
    name = [svg.text(last[0], last[1] - 6, front.name, "label", "end")] if front.name else []
    return joined([svg.step_line([start, *points, last], f"step series-{number % 4}"), *marks, *name])


def _forecasts(calls: Sequence[ForecastCall]) -> Iterator[Html]:
    if calls:
        yield element("h3", "Forecast and truth")
    for call in calls:
        made = f"Made at {call.made_at[:16].replace('T', ' ')} UTC from {call.num_nights} simulated nights."
        if call.end is None:
            yield element("p", f"{made} Nobody knows what came of it: the driver was killed, or is at work.")
            continue
        late = f" The call was ended by {call.end}, which no forecast holds." if call.end in LATE else ""
        yield element("p", made + late)
        yield table([*HEADERS, "range, and what came"], ([*forecast_cells(one), _range(one)] for one in call.figures))


def _range(figure: Expected) -> Html:
    """The range as a bar with its middle, and a dot where the truth is."""
    width, height = 150.0, 18.0
    x = svg.Scale(0.0, max(figure.high, figure.came, 1e-9) * 1.05, 4.0, width - 4.0)
    low, high, middle = x(figure.low), x(figure.high), x(figure.middle)
    return svg.chart(
        width,
        height,
        f"{figure.name}: {'within' if figure.is_within else 'outside'} the range",
        svg.bar((low, 6.0), max(1.0, high - low), 6.0, "range"),
        svg.line((middle, 3.0), (middle, 15.0), "middle"),
        svg.dot((x(figure.came), 9.0), "circle", "within" if figure.is_within else "outside", 4.0),
    )
