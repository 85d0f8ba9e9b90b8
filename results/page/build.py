"""Puts the page together: sections, data, style and script in one HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from results.files import write_atomically
from results.page.html import Html, Section, element, escape, json_script
from results.page.page_info import PageInfo
from results.page.payload.payload import payload
from results.page.sections import (
    controls,
    curves,
    devices,
    failures,
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
    failures.section,
    controls.section,
    table.section,
    reproduce.section,
    runs.section,
)
_NAMES = {"hypervolume": "progress", "reproduce": "again"}  # of sections in the list at the top, where not their id
# One scope: the files are joined in this order into one script.
SCRIPTS: tuple[str, ...] = (
    "numbers",
    "state",
    "picture",
    "front",
    "settings",
    "curves",
    "devices",
    "table",
    "pin",
    "filter",
    "main",
)


def write_page(page: PageInfo) -> Path:
    """Write `index.html` into the page's folder; returns its path. Equal tables give equal bytes."""
    path = page.page_folder / "index.html"
    write_atomically(path, render_page(page).encode())
    return path


def render_page(page: PageInfo) -> str:
    """The whole file as a text."""
    found = [one for section in SECTIONS if (one := section(page)) is not None]
    style, script = _read("page.css") + _read("static.css"), _script()
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
        element("header", element("h1", page.name), *_states(page), _contents(sections)),
        Html('<div id="filter" class="live" role="search" aria-label="which trials are shown"></div>'),
        element("main", *map(_section, sections)),
        Html('<aside id="pin" class="live" aria-label="the chosen config" aria-live="polite" hidden></aside>'),
        Html('<div id="tooltip" role="status" hidden></div>'),
        json_script("data", payload(page)),
        element("script", Html(script)),
    )


def _states(page: PageInfo) -> Iterator[Html]:
    """That a run goes on, or ended before its end: what the page shows is not all."""
    for name, state in zip(page.run_names, page.states, strict=True):
        if state is None or state.state == "finished":
            continue
        when = f"{state.updated_at[:16].replace('T', ' ')} UTC"
        done = f"{state.num_done:,} of {state.num_all:,} trials are done"
        goes_on = {
            "running": f"The sweep goes on: {done}, {state.num_running} run, as of {when}.",
            "stopped": f"The sweep was stopped: {done}, as of {when}. The same command goes on.",
            "lost": f"The sweep's driver ended without a word: {done}, as of {when}. The same command goes on.",
        }[state.state]
        whose = f"{name}: " if len(page.folders) > 1 else ""
        again = Html(f" To renew this page: <code>{escape(page.own_command)}</code>.")
        yield element("p", whose + goes_on, again, class_=f"run-state {state.state}")


def _contents(sections: Sequence[Section]) -> Html:
    names = (element("a", _NAMES.get(one.id, one.id), href=f"#{one.id}") for one in sections)
    return element("nav", *names, aria_label="sections")


def _section(one: Section) -> Html:
    note = [] if one.note is None else [element("p", Html(one.note), class_="note")]
    return element("section", element("h2", one.title), *note, Html(one.html), id=one.id, aria_label=one.title)


def _script() -> str:
    return '(() => {\n"use strict";\n' + "".join(_read(f"js/{name}.js") for name in SCRIPTS) + "})();\n"


def _read(name: str) -> str:
    return files("results.page").joinpath(name).read_text(encoding="utf-8")
