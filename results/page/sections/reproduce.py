"""The section `reproduce`: how do I get this again, with which versions, machines and data?"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from results.analysis.night.environment import Session, read_sessions
from results.analysis.per_device import comparable, left_out_text
from results.analysis.replicate_groups import Row, by_key, by_seed_and_id
from results.page.html import Html, Section, element, joined, table
from results.page.page_info import PageInfo, link_to
from results.page.states import FRONT
from results.page.texts import hours_text, number_of, sentence
from results.tables.columns import SCHEMA_VERSION

_MOST = 20


def section(page: PageInfo) -> Section:
    """Commands, versions, devices and data of all runs on the page."""
    parts: list[Html] = []
    for run in range(len(page.folders)):
        parts += _commands(page, run)
    parts.append(_lines(["# this page", page.own_command]))
    parts += _versions(page)
    parts += _devices(page.rows)
    parts += _data(page.rows)
    return Section(id="reproduce", title="How to get this again", html=joined(parts))


def _commands(page: PageInfo, run: int) -> Iterator[Html]:
    name, folder, lines = page.run_names[run], page.folders[run], []
    if (folder / "sweep.yaml").is_file():
        lines += ["# the sweep as it was run", f"frostline run {_word(name)}/sweep.yaml --out {_word(name + '-again')}"]
    if best := _best_trial(page, run):
        if (folder / "trials" / best / "config.yaml").is_file():
            lines += ["# one trial of the best config on the front, alone", f"frostline train {_word(_of(name, best))}"]
        lines += ["# do the bits agree?", f"frostline replay {_word(name)} {_word(best)}"]
    if lines:
        yield _lines(lines)
    links = [
        element("a", file, href=link_to(page, folder / file))
        for file in ("sweep.yaml", "environment.json")
        if (folder / file).is_file()
    ]
    if links:
        yield element("p", f"{name}: ", joined(" ".join(links)))


def _best_trial(page: PageInfo, run: int) -> str | None:
    """Of the configs on the front, the first seed of the best one that this run has trained."""
    configs = page.configs
    rows = zip(page.run_of_row, page.rows, configs.of_row, configs.state_of_row, strict=True)
    mine = [
        (config, *by_seed_and_id(row))
        for its_run, row, config, state in rows
        if its_run == run and state == FRONT and row["stage"] != "confirm"
    ]
    return min(mine)[-1] if mine else None


def _lines(lines: Sequence[str]) -> Html:
    return element("pre", element("code", "\n".join(lines)))


def _of(name: str, trial: str) -> str:
    return f"{name}/trials/{trial}/config.yaml"


def _word(text: str) -> str:
    return shlex.quote(text)


def _versions(page: PageInfo) -> Iterator[Html]:
    """Of the drivers, as each wrote them; of the trials, by their rows."""
    sessions = [(name, one) for name, folder in _named(page) for one in read_sessions(folder)]
    if sessions:
        yield element("h3", "Versions")
        several = len(page.folders) > 1
        rows = [([name] if several else []) + list(_session_cells(one)) for name, one in sessions[-_MOST:]]
        headers = ([""] if several else []) + ["driver began (UTC)", "code", "Python", "packages", "machines"]
        yield table(headers, rows, text_columns=range(6))
        if len(sessions) > _MOST:
            yield element("p", f"{len(sessions) - _MOST} earlier calls are in environment.json.", class_="note")
    codes = sorted({f"{row['code_bytes']:,} B" for row in page.rows if row.get("code_bytes")})
    text = f"tables of schema version {SCHEMA_VERSION}"
    yield element("p", sentence(f"{text}; counted code {' and '.join(codes)}" if codes else text), class_="note")


def _named(page: PageInfo) -> list[tuple[str, Path]]:
    return list(zip(page.run_names, page.folders, strict=True))


def _session_cells(one: Session) -> tuple[str, ...]:
    packages = ", ".join(f"{name} {version}" for name, version in one.packages.items())
    machines = ", ".join(f"{count} × {kind}" for kind, count in sorted(Counter(one.kinds).items()))
    return one.started_at[:16].replace("T", " "), one.commit or "–", one.python, packages, machines or "–"


def _devices(rows: Sequence[Row]) -> Iterator[Html]:
    ran = [row for row in rows if row["accelerator"] is not None]
    if not ran:
        return
    yield element("h3", "Devices")
    keyed = by_key(ran, ("accelerator", "device_name", "torch_version", "compiled"))
    headers = ("accelerator", "device", "torch", "compiled", "trials", "time", "tokens/s, median of those alone")
    cells = (
        (*map(_known, key), f"{len(members):,}", _time(members), _median_speed(members))
        for key, members in sorted(keyed.items(), key=lambda item: tuple(map(str, item[0])))
    )
    yield table(headers, cells, text_columns=range(4))
    if text := left_out_text(ran):
        yield element("p", sentence(text), class_="note")


def _data(rows: Sequence[Row]) -> Iterator[Html]:
    columns = ("data", "data_sha256", "cfg_model_vocab_size", "eval_tokens", "eval_bytes")
    known = [row for row in rows if row["data_sha256"] is not None]
    scored = {row["data_sha256"] for row in known if row["eval_tokens"] is not None}
    # a trial without a score does not say which tokens are scored: it is listed where no other does
    listed = [row for row in known if row["eval_tokens"] is not None or row["data_sha256"] not in scored]
    keys = Counter(tuple(row[column] for column in columns) for row in listed)
    if not keys:
        return
    yield element("h3", "Data")
    cells = (
        (data, element("code", sha, class_="hash"), *map(_known, (vocab, tokens, size)), f"{count:,}")
        for (data, sha, vocab, tokens, size), count in sorted(keys.items(), key=str)
    )
    headers = ("data", "SHA-256 of shards and tokenizer", "vocabulary", "scored tokens", "scored bytes", "trials")
    yield table(headers, cells, text_columns=(0, 1))
    text = number_of(len({sha for _, sha, *_ in keys}), "dataset")
    if num_others := len(known) - len(listed):
        text += f"; {number_of(num_others, 'trial')} without a score not listed"
    yield element("p", f"{text}; losses on other tokens are never compared.", class_="note")


def _known(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _time(rows: Sequence[Row]) -> str:
    return hours_text(sum(sorted(row["total_seconds"] or 0.0 for row in rows)))


def _median_speed(rows: Sequence[Row]) -> str:
    speeds = sorted(row["tokens_per_s"] for row in comparable(rows, "tokens_per_s") if row["tokens_per_s"] is not None)
    return f"{speeds[(len(speeds) - 1) // 2]:,.0f}" if speeds else "–"
