"""HTML texts: escaping, tables, sections, and data for scripts.

The page's policy (CSP) allows no `style=` attribute: say how a thing looks by a class of page.css.
"""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

_FOR_SCRIPTS = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


class Html(str):
    """Markup that is already safe. Any other text is escaped where it is put into a table."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page. `html` and `note` (one small line under the title) are markup, `title` is a text."""

    id: str
    title: str
    html: str
    note: str | None = None


def escape(value: object) -> Html:
    """A text that shows as it is, in elements and in quoted attributes."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def joined(parts: Iterable[str]) -> Html:
    """Safe parts, one after the other."""
    return Html("".join(parts))


def element(name: str, *children: object, **attributes: object) -> Html:
    """`element("a", "text", href="x")`: children and values are escaped unless they are Html.

    An attribute that is None is left out; `class_` and `for_` lose their underscore, others turn `_` into `-`.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{''.join(map(escape, children))}</{name}>")


def table(
    headers: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    text_columns: Collection[int] = (0,),
    caption: str | None = None,
    id: str | None = None,
) -> Html:
    """A table; cells are escaped unless they are Html. Columns other than `text_columns` are numbers, set right."""

    def row(cells: Sequence[object], name: str, **attributes: object) -> Html:
        kinds = (None if i in text_columns else "number" for i in range(len(cells)))
        return element(
            "tr", *(element(name, cell, class_=kind, **attributes) for cell, kind in zip(cells, kinds, strict=True))
        )

    parts = [] if caption is None else [element("caption", caption)]
    parts.append(element("thead", row(headers, "th", scope="col")))
    parts.append(element("tbody", *(row(cells, "td") for cells in rows)))
    return element("div", element("table", *parts, id=id), class_="scroll")


def json_script(id: str, value: Any) -> Html:
    """Data for the page's script. No text in it can end the element.

    Raises:
        ValueError: for a NaN or an infinity, which JSON has no word for.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Html(f'<script type="application/json" id="{escape(id)}">{text.translate(_FOR_SCRIPTS)}</script>')
