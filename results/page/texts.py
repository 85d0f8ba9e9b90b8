"""Times, sums and shares as short texts, and lists of lines as markup."""

from __future__ import annotations

from collections.abc import Iterable

from results.page.html import Html, element

_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


def unit_of(seconds: float) -> tuple[str, float]:
    """The unit that a reader would choose for such times, and its seconds."""
    return next(((name, size) for name, size in _UNITS if seconds >= 2 * size), _UNITS[-1])


def hours_text(seconds: float) -> str:
    """`7.9 h`, `12 min`, `34 s`, `0.1 s`."""
    name, size = unit_of(seconds)
    value = seconds / size
    has_digit = name == "h" or (name == "s" and 0 < value < 10)
    return f"{value:,.{1 if has_digit else 0}f} {name}"


def usd_text(usd: float | None) -> str:
    """`31.87 USD`; a dash where no machine has a price."""
    return "–" if usd is None else f"{usd:,.2f} USD"


def share_text(part: float, whole: float) -> str:
    """`12 %`; a dash of nothing."""
    return "–" if not whole else f"{100 * part / whole:.{0 if part >= 0.1 * whole or part == 0 else 1}f} %"


def number_of(count: int, one: str, many: str | None = None) -> str:
    """`1 trial`, `2,000 trials`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def items(lines: Iterable[object], class_: str | None = None) -> Html:
    """A list; nothing without lines."""
    found = [element("li", line) for line in lines]
    return element("ul", *found, class_=class_) if found else Html("")


def sentence(text: str) -> str:
    """A capital letter first, and a full stop at the end."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def blocks_of(lines: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The lines of `results.report.conclusions` → each heading with the lines that are indented under it."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(" ") and found:
            found[-1][1].append(line.strip())
        else:
            found.append((line.strip(), []))
    return found
