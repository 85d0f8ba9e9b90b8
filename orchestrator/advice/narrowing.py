"""One parameter of a space, narrowed to what good configs have: which values are kept, and why. Pure.

`docs/results.md` says the rules in words.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Any, Literal

from orchestrator.advice.evidence import may_leave_out
from results.tables.schema import CONTROL_RECIPE
from search_spaces.configs.draws import takes_whole_numbers
from search_spaces.spec.config_keys import checked_value
from search_spaces.spec.sweep_spec import Parameter
from search_spaces.spec.yaml_document import inline

# How far the new space reaches: beyond the ends of the old one, inside it, or to the values of good configs alone.
Reach = Literal["beyond", "inside", "good values"]

MARGIN = 0.1  # of the old range, at least, on each side of the good values
MARGIN_OF_ONE = 0.25  # the same of a single good config
AT_END = 0.1  # of the old range: a value that near to an end is at it
FEW_OTHERS = "; the rest was tried too seldom to leave it out"
WIDE_RATIO = 4.0  # numbers that span more are halved by their ratio


@dataclasses.dataclass(frozen=True)
class Seen:
    """The value of a parameter in each config that has it and was tried, and which of them are good.

    Args:
        values: the position in a list of values, or the number of a range.
    """

    values: tuple[Any, ...] = ()
    is_good: tuple[bool, ...] = ()

    @property
    def good(self) -> list[Any]:
        return [value for value, good in zip(self.values, self.is_good, strict=True) if good]

    def may_lose(self, is_left_out: Callable[[Any], bool]) -> bool:
        """Whether the values for which it holds, of which none is good, were tried often enough."""
        return may_leave_out(len(self.values), len(self.good), sum(map(is_left_out, self.values)))


@dataclasses.dataclass(frozen=True)
class Narrowed:
    """A parameter of the next sweep, and why it became what it is."""

    parameter: Parameter
    why: str


def narrowed(parameter: Parameter, seen: Seen, reach: Reach, *, refines: bool = False) -> Narrowed:
    """The part of a parameter that is worth trying next. Every good value stays.

    Args:
        refines: add values between the kept numbers of a list, as a grid of old values would be nothing new.
    """
    if not seen.good or parameter.key.partition(".")[0] == "resources" or parameter.num_values == 1:
        return Narrowed(parameter, "as it was" + ("" if seen.good else ": no config of the front has it"))
    if not parameter.is_listed:
        return _range(parameter, seen, reach)
    options = list(parameter.options)
    if parameter.kind == "steps" or (len(options) > 1 and all(map(_is_number, options))):
        return _ordered(parameter, seen, reach, refines=refines)
    return _unordered(parameter, seen)


def _range(parameter: Parameter, seen: Seen, reach: Reach) -> Narrowed:
    low, high = parameter.values
    scale, back = (math.log, math.exp) if parameter.kind == "log_range" else (float, float)
    width = scale(high) - scale(low)
    first, last, num = min(seen.good), max(seen.good), len(seen.good)
    spread = scale(last) - scale(first)
    # the ends of a uniform distribution lie about one gap beyond the outermost of its values
    margin = max(spread / (num - 1) if num > 1 else MARGIN_OF_ONE * width, MARGIN * width)
    whole = takes_whole_numbers(parameter)
    new_low = _rounded(back(scale(first) - margin), whole, ROUND_FLOOR)
    new_high = _rounded(back(scale(last) + margin), whole, ROUND_CEILING)
    why = f"was {low:g} to {high:g}; {_configs(num)} {_lie(first, last)}"
    is_part = low < new_low or new_high < high
    if is_part and not seen.may_lose(lambda value: not new_low <= value <= new_high):
        new_low, new_high, is_part = low, high, False
        why += FEW_OTHERS
    at_low, at_high = scale(first) - scale(low) <= AT_END * width, scale(high) - scale(last) <= AT_END * width
    goes_beyond = is_part and reach == "beyond"  # where good configs lie at one end, and others do not
    new_low = _end(parameter, new_low, low, goes_beyond and at_low and not at_high, max)
    new_high = _end(parameter, new_high, high, goes_beyond and at_high and not at_low, min)
    for new, old in ((new_low, low), (new_high, high)):
        if not low <= new <= high:
            by = f"{max(new / old, old / new):.3g} times" if parameter.kind == "log_range" else f"{abs(new - old):.3g}"
            why += f"; it goes on to {new:g}, {by} beyond the old end, as the front lies at that end"
    return Narrowed(dataclasses.replace(parameter, values=(new_low, new_high)), why)


def _end(parameter: Parameter, new: float, old: float, goes_beyond: bool, nearer: Callable[..., float]) -> float:
    """The new end, but not beyond the old one unless it may be and the setting takes such a value."""
    inside = nearer(new, old)
    if inside == new or not goes_beyond:
        return inside
    has_logarithm = parameter.kind != "log_range" or new > 0
    return new if has_logarithm and not checked_value(parameter.key, new)[1] else old


def _rounded(value: float, whole: bool, direction: str) -> float:
    """Outwards, to whole numbers or three digits."""
    number = Decimal(repr(value))
    if whole:
        return int(number.to_integral_value(direction))
    if not number:
        return 0.0
    return float(number.quantize(Decimal(1).scaleb(number.adjusted() - 2), direction))


def _ordered(parameter: Parameter, seen: Seen, reach: Reach, *, refines: bool) -> Narrowed:
    """Numbers in a list: the good ones, all between them, and a neighbour on each side."""
    options = list(parameter.options)
    order = sorted(range(len(options)), key=options.__getitem__)
    places = [order.index(index) for index in seen.good]
    aside = 0 if reach == "good values" else 1
    first, last = max(0, min(places) - aside), min(len(order) - 1, max(places) + aside)
    why = f"was {inline(options)}; {_of_front(options, seen)}"
    is_whole = first == 0 and last == len(order) - 1
    if aside and not is_whole and not seen.may_lose(lambda index: not first <= order.index(index) <= last):
        first, last = 0, len(order) - 1
        why += FEW_OTHERS
    kept = [options[index] for index in range(len(options)) if first <= order.index(index) <= last]
    end = _at_end(places, len(order))
    if parameter.kind == "steps":
        changed = _steps(parameter, kept, end if reach == "beyond" and len(kept) < len(order) else None)
        longer = changed.num_options > len(kept)
        return Narrowed(changed, why + (f"; one step is added at the {end}, where the front lies" if longer else ""))
    if end is not None:
        why += f"; the front is at the {end}: think of {'larger' if end == 'largest' else 'smaller'} ones"
    if refines and reach == "beyond" and (between := _between(parameter, kept)):
        kept, why = sorted([*kept, *between]), f"{why}; {inline(between)} between them are new"
    return Narrowed(dataclasses.replace(parameter, values=tuple(kept)), why)


def _at_end(places: Sequence[int], num: int) -> str | None:
    """The end of the list that half of the good values have or more, and the other end none."""
    half = len(places) / 2
    if places.count(0) >= half and num - 1 not in places:
        return "smallest"
    return "largest" if places.count(num - 1) >= half and 0 not in places else None


def _steps(parameter: Parameter, kept: Sequence[Any], end: str | None) -> Parameter:
    """The kept values as steps; one more beyond the end at which the front lies, where the setting takes it."""
    step = parameter.values[2]
    first, last = kept[0], kept[-1]
    if end is not None:
        is_last = (end == "largest") == (step > 0)
        further = Decimal(str(last if is_last else first)) + Decimal(str(step)) * (1 if is_last else -1)
        value = int(further) if all(isinstance(one, int) for one in parameter.values) else float(further)
        if not checked_value(parameter.key, value)[1]:
            first, last = (first, value) if is_last else (value, last)
    return dataclasses.replace(parameter, values=(first, last, step))


def _between(parameter: Parameter, kept: Sequence[Any]) -> list[Any]:
    """A number between each two neighbours, which the setting takes."""
    ordered = sorted(kept)
    is_wide = ordered[0] > 0 and ordered[-1] / ordered[0] >= WIDE_RATIO
    found = []
    for low, high in pairwise(ordered):
        middle = math.sqrt(low * high) if is_wide else (low + high) / 2
        value = round(middle) if takes_whole_numbers(parameter) else float(f"{middle:.3g}")
        if low < value < high and not checked_value(parameter.key, value)[1]:
            found.append(value)
    return found


def _unordered(parameter: Parameter, seen: Seen) -> Narrowed:
    """Each value that a good config has, and each that was tried too seldom; the control always stays."""
    options = list(parameter.options)
    good = set(seen.good)
    never = [index for index in range(len(options)) if index not in good and seen.may_lose(index.__eq__)]
    control = [index for index in never if parameter.key == "recipe" and options[index] == CONTROL_RECIPE]
    dropped = [index for index in never if index not in control]
    why = _of_front(options, seen)
    if dropped:
        counts = Counter(seen.values)
        why += "; left out: " + ", ".join(f"{inline(options[index])} (0 of {counts[index]})" for index in dropped)
    if len(options) > len(good) + len(never):
        why += FEW_OTHERS
    if control:
        why += f"; {CONTROL_RECIPE} stays as the control"
    kept = tuple(option for index, option in enumerate(options) if index not in dropped)
    return Narrowed(dataclasses.replace(parameter, values=kept), why)


def _of_front(options: Sequence[Any], seen: Seen) -> str:
    """`7 front configs: 96 in 3, 128 in 4`"""
    counts = Counter(seen.good)
    parts = [f"{inline(options[index])} in {counts[index]}" for index in sorted(counts)]
    return f"{_configs(len(seen.good))}: " + ", ".join(parts)


def _configs(num: int) -> str:
    return f"{num} front config{'' if num == 1 else 's'}"


def _lie(first: float, last: float) -> str:
    return f"at {first:.3g}" if first == last else f"in {first:.3g} to {last:.3g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
