"""The front: cross-entropy over bytes. A static picture, over which the script draws one that answers the pointer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from results.analysis.objectives import SizeLimit
from results.page import svg
from results.page.frame import Frame, frame_of, size_of
from results.page.html import Html, Section, element, escape, joined
from results.page.page_info import PageInfo
from results.page.payload.curves import evenly
from results.page.payload.payload import fronts
from results.page.states import DOMINATED, FRONT, INFEASIBLE, STATES, STOPPED, WASTED

MAX_POINTS = 1_500
_MAX_NAMES = 8
_FEW_NAMED = 12  # so many configs all have their name
_FEW_SEEDS = 30  # of so many configs each seed is shown
_WIDTH, _HEIGHT = 960.0, 440.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 940.0, 34.0, 390.0


def section(page: PageInfo) -> Section | None:
    title = f"What do I get for my {'bytes' if page.size.endswith('_bytes') else page.size_label}?"
    frame = frame_of(page)
    if frame is None:
        empty = element("p", "No trial has a score yet: the picture comes with the first.", class_="empty")
        return Section(id="front", title=title, html=empty)
    picture = element("div", static_picture(page, frame), class_="static")
    live = Html('<div class="live tall" data-view="front"></div>')
    hint = "Drag a box to keep what is in it; click a config, here or in any view, to see all of it."
    parts = [_legend(page), element("p", hint, class_="live note"), picture, live]
    return Section(id="front", title=title, html=joined(parts), note=_note(page, frame))


def _note(page: PageInfo, frame: Frame) -> Html:
    side = "right" if page.goals.objectives.get(page.size) == "max" else "left"
    parts = [f"Lower and further {side} is better. Bars are 95 % intervals over seeds, of configs on the front."]
    if frame.num_above:
        parts.append(f"{frame.num_above:,} with a worse score stand at the upper edge.")
    if missing := sum(one.group is None for one in page.configs.all):
        parts.append(f"Not drawn: {missing:,} without a score.")
    if (number := len(fronts(page))) > 1:
        parts.append(f"{number} fronts: {'each of one accelerator' if page.info.kinds else 'of other data'}.")
    if not number:
        parts.append("The objectives are not the two columns drawn here, so there is no line of a front.")
    return escape(" ".join(parts))


def _legend(page: PageInfo) -> Html:
    counts = Counter(page.configs.state_of_row)
    items = [
        element("li", mark(index), element("span", one.label), element("b", f"{counts[index]:,}"), title=one.title)
        for index, one in enumerate(STATES)
        if counts[index]
    ]
    return element("ul", *items, class_="legend static", aria_label="trials by what became of them")


def mark(state: int) -> Html:
    """The sign of a state, as it stands in texts."""
    style = STATES[state]
    sign = svg.dot((7, 7), style.shape, f"mark {style.name}", 4.5)
    return element("svg", sign, viewBox="0 0 14 14", class_="sign", aria_hidden="true")


def static_picture(page: PageInfo, frame: Frame) -> Html:
    """At most MAX_POINTS configs, the step line of the front, the limit, and names on the front."""
    x = svg.Scale(*frame.x, _LEFT, _RIGHT, "log" if frame.is_log else "linear")
    y = svg.Scale(*frame.y, _BOTTOM, _TOP)
    is_bytes = page.size.endswith("_bytes")
    x_label = f"{page.size_label}{', logarithmic' if frame.is_log else ''}"
    places, shown = _places(page, x, y), _shown(page)
    return svg.chart(
        _WIDTH,
        _HEIGHT,
        f"{page.metric_label} over {x_label}: {len(page.info.front)} configs on the front",
        svg.y_axis(y, _LEFT, page.metric_label, right=_RIGHT),
        svg.x_axis(x, _BOTTOM, x_label, top=_TOP, write=svg.bytes_text if is_bytes else svg.short_number),
        _limit(frame, x),
        svg.group("points", *(_dot(page, index, at) for index, at in places.items() if index in shown)),
        *(_step(page, one, x, y, frame.limit) for one in fronts(page)),
        svg.group("seeds", *_seeds(page, x, y)),
        svg.group("points", *_front_marks(page, places, y)),
        svg.group("names", *_names(page, places)),
    )


def _places(page: PageInfo, x: svg.Scale, y: svg.Scale) -> dict[int, svg.Point]:
    found: dict[int, svg.Point] = {}
    for index, one in enumerate(page.configs.all):
        size = size_of(page, index)
        if one.group is not None and size is not None and page.metric in one.group.estimates:
            found[index] = (x(size), max(_TOP, y(one.group.estimates[page.metric].mean)))
    return found


def _shown(page: PageInfo) -> frozenset[int]:
    """Configs off the front that are drawn: evenly from the best on."""
    others = [index for index, one in enumerate(page.configs.all) if one.state in (DOMINATED, INFEASIBLE)]
    return frozenset(evenly(others, max(0, MAX_POINTS - len(page.info.front))))


def _dot(page: PageInfo, index: int, at: svg.Point, size: float = 3.5) -> Html:
    config = page.configs.all[index]
    style = STATES[config.state]
    few = len(page.configs.all) <= MAX_POINTS // 10
    return svg.dot(at, style.shape, f"mark {style.name}", size, config.label if few else None)


def _front_marks(page: PageInfo, places: dict[int, svg.Point], y: svg.Scale) -> list[Html]:
    marks: list[Html] = []
    for index, at in places.items():
        group = page.configs.all[index].group
        if page.configs.all[index].state != FRONT or group is None:
            continue
        found = group.estimates[page.metric]
        if found.half_width:
            low, high = (min(_BOTTOM, max(_TOP, y(found.mean + sign * found.half_width))) for sign in (-1, 1))
            marks.append(svg.error_bar(at[0], low, high))
        marks.append(_dot(page, index, at, 4.5))
    return marks


def _seeds(page: PageInfo, x: svg.Scale, y: svg.Scale) -> list[Html]:
    """Each trial that counts as a small dot, where there are few configs."""
    if len(page.info.groups) > _FEW_SEEDS:
        return []
    found = []
    for row, config, state in zip(page.rows, page.configs.of_row, page.configs.state_of_row, strict=True):
        group, size, value = page.configs.all[config].group, row[page.size], row[page.metric]
        if group is None or state in (STOPPED, WASTED) or size is None or value is None or row["stage"] == "confirm":
            continue
        at = (x(size), min(_BOTTOM, max(_TOP, y(value))))
        found.append(svg.dot(at, "dot", f"mark seed {STATES[state].name}", 2.2))
    return found


def _step(page: PageInfo, front: Sequence[int], x: svg.Scale, y: svg.Scale, limit: SizeLimit | None) -> Html:
    """What is reached at each size: level from a config to the next, and on to the limit or the edge."""
    points = [(x(size_of(page, index) or 0.0), y(_mean(page, index))) for index in front]
    if page.goals.objectives[page.size] == "max":
        points.reverse()
        return svg.step_line([(points[0][0], _TOP), *points, (_LEFT, points[-1][1])], "front-line")
    end = min(_RIGHT, max(points[-1][0], x(limit.artifact_bytes))) if limit else _RIGHT
    return svg.step_line([(points[0][0], _TOP), *points, (end, points[-1][1])], "front-line")


def _mean(page: PageInfo, index: int) -> float:
    group = page.configs.all[index].group
    assert group is not None
    return group.estimates[page.metric].mean


def _limit(frame: Frame, x: svg.Scale) -> Html:
    """The limit in its place, or in words at the edge it lies beyond."""
    if frame.limit is None:
        return Html("")
    place, (low, high) = frame.limit.artifact_bytes, frame.x
    if low <= place <= high:
        at = x(place)
        is_left = at - _LEFT > 7 * len(frame.limit.name)
        name = svg.text(at + (-6 if is_left else 6), _TOP + 12, frame.limit.name, "limit-name", _anchor(is_left))
        return joined([svg.line((at, _TOP), (at, _BOTTOM), "limit"), name])
    if place > high:
        return svg.text(_RIGHT - 4, _TOP + 12, f"{frame.limit.name} →", "limit-name", "end")
    return svg.text(_LEFT + 4, _TOP + 12, f"← {frame.limit.name}", "limit-name")


def _names(page: PageInfo, places: dict[int, svg.Point]) -> list[Html]:
    """Names of configs, none over another.

    On the front below the mark, on the side where no other can be; of few configs also of the others, above it.
    """
    is_max = page.goals.objectives.get(page.size) == "max"
    front = [index for index in places if page.configs.all[index].state == FRONT]
    others = [index for index in places if index not in front] if len(places) <= _FEW_NAMED else []
    taken: list[tuple[float, float, float]] = []
    names: list[Html] = []
    for index in [*front, *others]:
        (x, y), label, is_front = places[index], page.configs.all[index].label, index in front
        width, baseline = 6.2 * len(label), y + (14 if is_front else -7)
        is_left = x - 8 - width > _LEFT and (not is_max if is_front else x + 8 + width > _RIGHT)
        left, right = (x - 8 - width, x - 8) if is_left else (x + 8, x + 8 + width)
        if is_front and len(places) > _FEW_NAMED and is_left == is_max:
            continue  # on that side are other configs
        clear = all(abs(baseline - other) > 13 or left > end or right < begin for begin, end, other in taken)
        if clear and right < _RIGHT and _TOP < baseline < _BOTTOM and len(names) < max(_MAX_NAMES, len(others)):
            taken.append((left, right, baseline))
            names.append(svg.text(right if is_left else left, baseline, label, "name", _anchor(is_left)))
    return names


def _anchor(is_left: bool) -> svg.Anchor:
    return "end" if is_left else "start"
