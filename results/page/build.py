"""Puts the page together: sections, data, style and script in one HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from results.files import write_atomically
from results.page.html import Html, Section, element, escape, joined, json_script
from results.page.page_info import PageInfo
from results.page.sections import (
    controls,
    curves,
    devices,
    front,
    headline,
    hypervolume,
    importance,
    money,
    reproduce,
    runs,
    settings,
    table,
)

# In the order of the page. One that has nothing to say returns None.
SECTIONS: tuple[Callable[[PageInfo], Section | None], ...] = (
    headline.section,
    front.section,
    hypervolume.section,
    settings.section,
    curves.section,
    importance.section,
    devices.section,
    money.section,
    controls.section,
    table.section,
    reproduce.section,
    runs.section,
)
# One scope: the files are joined in this order into one script.
SCRIPTS: tuple[str, ...] = ()


def write_page(page: PageInfo) -> Path:
    """Write `index.html` into the page's folder; returns its path. Equal tables give equal bytes."""
    path = page.page_folder / "index.html"
    write_atomically(path, render_page(page).encode())
    return path


def render_page(page: PageInfo) -> str:
    """The whole file as a text."""
    found = [one for section in SECTIONS if (one := section(page)) is not None]
    style, script = _read("page.css"), _script()
    return f'<!doctype html>\n<html lang="en">\n{_head(page, style, script)}\n{_body(page, found, script)}\n</html>\n'


def policy(style: str, script: str) -> str:
    """The page's content security policy: nothing is loaded, and only this style and this script count."""
    return f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _head(page: PageInfo, style: str, script: str) -> Html:
    return element(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(style, script))}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", page.name),
        element("style", Html(style)),
    )


def _body(page: PageInfo, sections: list[Section], script: str) -> Html:
    return element(
        "body",
        element("header", element("h1", page.name)),
        element("main", *map(_section, sections)),
        json_script("data", {}),
        element("script", Html(script)),
    )


def _section(one: Section) -> Html:
    note = [] if one.note is None else [element("p", Html(one.note), class_="note")]
    return element("section", element("h2", one.title), *note, Html(one.html), id=one.id, aria_label=one.title)


def _script() -> str:
    return joined(_read(f"js/{name}.js") for name in SCRIPTS)


def _read(name: str) -> str:
    return files("results.page").joinpath(name).read_text(encoding="utf-8")
