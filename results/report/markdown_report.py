"""The report of a run folder: one Markdown page and its plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from results.analysis.control_comparison import study_table
from results.analysis.early_stopping import stopping_summary
from results.analysis.objectives import read_goals, read_sweep
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.per_device import comparable, left_out_text
from results.analysis.published_figures import FIGURES, load_published, scale_of
from results.analysis.replicate_groups import Row, by_key, to_rows
from results.analysis.search_history import read_search_history
from results.files import write_atomically
from results.plots.controls_plot import plot_controls
from results.plots.curves_plot import plot_curves
from results.plots.pareto_plot import plot_pareto
from results.report import formatting
from results.report.conclusions import conclusions
from results.report.forecast_section import forecast_section
from results.report.markdown import escape, markdown_table
from results.report.search_section import search_section
from results.tables.load import Tables, load

# What is read of a trial beside the groups.
_COLUMNS = (
    *("trial_id", "status", "error", "stage", "accelerator", "device_name", "torch_version", "compiled"),
    *("total_seconds", "tokens_per_s", "num_neighbours", "data", "data_sha256", "cfg_model_vocab_size"),
    *("eval_tokens", "eval_bytes", "artifact_bytes", "ce", "bpb"),
    *("steps", "steps_planned", "stop_step", "stop_best_case"),
)
_MOST_FAILURES = 50
_MOST_GROUPS = 500
_ERROR_CHARACTERS = 300


def write_report(folder: str | Path) -> Path:
    """Write `report/report.md` and its pictures into a run folder; returns the page's path.

    Raises:
        ResultsError: if the folder holds no tables, or its sweep.yaml or a table is damaged.
    """
    folder = Path(folder)
    tables = load(folder)
    goals = read_goals([folder])
    return write_report_of(folder, tables, pareto_info(tables, goals.objectives, goals.constraints))


def write_report_of(folder: Path, tables: Tables, info: ParetoInfo) -> Path:
    """The same for a run that was loaded and compared already."""
    report = folder / "report"
    plot_pareto(info, report / "pareto.png")
    drawn = {
        "curves.png": plot_curves(tables, info, report / "curves.png"),
        "controls.png": plot_controls(
            study_table(tables, load_published(FIGURES), scale_of(folder), info), report / "controls.png"
        ),
    }
    for name, picture in drawn.items():
        if picture is None:
            (report / name).unlink(missing_ok=True)  # of an earlier report
    page = report / "report.md"
    write_atomically(page, render_report(tables, info, folder).encode())
    return page


def render_report(tables: Tables, info: ParetoInfo, folder: Path) -> str:
    """The Markdown page; `folder` tells its name and which files there are to link."""
    rows = to_rows(tables.trials, _COLUMNS)
    parts: list[Iterable[str]] = [
        _head(info, folder),
        _front(info),
        _conclusions(info),
        _pictures(folder),
        forecast_section(folder),
        search_section(info, read_search_history(folder, rows)),
        _statuses(info),
        _early_stopping(info, rows),
        _groups(info),
        _failures(rows),
        _devices(rows),
        _data(rows),
        _reproduce(info, folder),
    ]
    return "\n".join(line for part in parts for line in part).rstrip("\n") + "\n"


def _head(info: ParetoInfo, folder: Path) -> Iterator[str]:
    yield f"# {escape(', '.join(info.sweeps) or folder.resolve().name)}"
    yield ""
    yield f"**{escape(formatting.headline(info))}**"
    yield ""
    bounds, goals = escape(formatting.constraints_text(info)), escape(formatting.objectives_text(info))
    yield f"{len(info.groups)} configs, {len(info.feasible)} keep {bounds}, {len(info.front)} on the front of {goals};"
    yield f"{escape(formatting.not_counted_text(info))}."
    yield ""
    for note in info.notes:
        yield f"> Note: {escape(note)}."
        yield ""
    yield from _notes(folder)


def _notes(folder: Path) -> Iterator[str]:
    """What the sweep's author wrote under `notes`, paragraph by paragraph."""
    path = folder / "sweep.yaml"
    notes = read_sweep(path).get("notes") if path.is_file() else None
    for paragraph in str(notes or "").split("\n\n"):
        if paragraph.strip():
            yield f"> {escape(paragraph)}"
            yield ""


def _front(info: ParetoInfo) -> Iterator[str]:
    yield f"## Pareto front under {escape(formatting.constraints_text(info))}"
    yield ""
    if not info.front:
        yield "No config is on it."
        yield ""
        return
    for heading, part in formatting.by_front(info, info.front):
        if heading:
            yield from (f"### {escape(heading[0].upper() + heading[1:])}", "")
        yield from markdown_table(formatting.HEADERS[1:], (formatting.group_cells(group)[1:] for group in part))
    yield "CE is in nats per token of the reloaded artifact, mean over seeds ± 95 % interval (Student's t); bytes are"
    yield "those of the largest artifact among the seeds. `P(fr)` is the probability that it stays on the front with"
    yield "other seeds. `vs untuned` is the difference of CE from the baseline that is equal in all but the"
    yield "recipe and was not tuned itself, paired by seed and accelerator; negative is better."
    yield ""
    if doubts := formatting.doubt_text(info):
        yield f"{escape(doubts)}."
        yield ""


def _conclusions(info: ParetoInfo) -> Iterator[str]:
    """What the comparisons with controls show, and which of them are still noise."""
    lines = conclusions(info)
    if lines:
        yield "## What was found"
        yield ""
    for line in lines:
        is_item = line.startswith(" ")
        yield f"- {escape(line.strip())}" if is_item else f"{escape(line)}"
        if not is_item:
            yield ""
    if lines:
        yield ""


def _pictures(folder: Path) -> Iterator[str]:
    yield "![CE over artifact bytes](pareto.png)"
    yield ""
    for name, text in (("controls.png", "CE against learned controls"), ("curves.png", "Loss over training tokens")):
        if (folder / "report" / name).is_file():
            yield f"![{text}]({name})"
            yield ""


def _statuses(info: ParetoInfo) -> Iterator[str]:
    yield "## What became of the trials"
    yield ""
    yield from markdown_table(("status", "trials"), info.status_counts.items())


def _early_stopping(info: ParetoInfo, rows: Sequence[Row]) -> Iterator[str]:
    found = stopping_summary(rows, "bpb" if "bpb" in info.objectives else "ce")
    if found is not None:
        yield f"Early stopping: {found.text()}."
        yield ""


def _groups(info: ParetoInfo) -> Iterator[str]:
    yield "## All configs"
    yield ""
    yield "Best CE first; `*` on the front, `x` breaks a constraint, `?` unknown."
    yield ""
    yield from markdown_table(
        (*formatting.HEADERS, "config id"),
        ((*formatting.group_cells(group), group.config_id) for group in info.groups[:_MOST_GROUPS]),
    )
    if (more := len(info.groups) - _MOST_GROUPS) > 0:
        yield f"{more} more are in the tables."
        yield ""


def _failures(rows: Sequence[Row]) -> Iterator[str]:
    lost = sorted((row for row in rows if row["status"] != "completed"), key=lambda row: str(row["trial_id"]))
    if not lost:
        return
    yield "## Trials without a score"
    yield ""
    cells = ((row["trial_id"], row["status"], row["accelerator"] or "–", _error(row)) for row in lost[:_MOST_FAILURES])
    yield from markdown_table(("trial", "status", "accelerator", "error"), cells)
    if (more := len(lost) - _MOST_FAILURES) > 0:
        yield f"{more} more are in the tables."
        yield ""


def _error(row: Row) -> str:
    """The last line of an error says what happened; the whole of it is in the table."""
    lines = [line for line in str(row["error"] or "–").splitlines() if line.strip()] or ["–"]
    last = lines[-1].strip()
    return last if len(last) <= _ERROR_CHARACTERS else last[: _ERROR_CHARACTERS - 1] + "…"


def _devices(rows: Sequence[Row]) -> Iterator[str]:
    yield "## Devices"
    yield ""
    ran = [row for row in rows if row["accelerator"] is not None]
    headers = ("accelerator", "device", "torch", "compiled", "trials", "hours", "tokens/s, median of those alone")
    keyed = by_key(ran, ("accelerator", "device_name", "torch_version", "compiled"))
    yield from markdown_table(
        headers,
        (
            (*("–" if value is None else value for value in key), len(members), _hours(members), _median_speed(members))
            for key, members in sorted(keyed.items(), key=lambda item: tuple(map(str, item[0])))
        ),
    )
    if text := left_out_text(ran):
        yield f"{escape(text)}."
        yield ""


def _hours(rows: Iterable[Row]) -> str:
    return f"{sum(sorted(row['total_seconds'] or 0.0 for row in rows)) / 3600:.2f}"


def _median_speed(rows: Sequence[Row]) -> str:
    measured = comparable(rows, "tokens_per_s")
    speeds = sorted(row["tokens_per_s"] for row in measured if row["tokens_per_s"] is not None)
    return f"{speeds[(len(speeds) - 1) // 2]:,.0f}" if speeds else "–"


def _data(rows: Sequence[Row]) -> Iterator[str]:
    yield "## Data"
    yield ""
    keys: Counter[tuple[Any, ...]] = Counter(
        (row["data"], row["data_sha256"], row["cfg_model_vocab_size"], row["eval_tokens"], row["eval_bytes"])
        for row in rows
        if row["data_sha256"] is not None
    )
    cells = (
        (data, sha, vocab, _number(tokens), _number(size), count)
        for (data, sha, vocab, tokens, size), count in sorted(keys.items(), key=str)
    )
    yield from markdown_table(("data", "SHA-256", "vocabulary", "scored tokens", "scored bytes", "trials"), cells)


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _reproduce(info: ParetoInfo, folder: Path) -> Iterator[str]:
    yield "## How to reproduce"
    yield ""
    name = folder.resolve().name
    if (folder / "sweep.yaml").is_file():
        yield "The sweep as it was run is [sweep.yaml](../sweep.yaml):"
        yield ""
        yield "```sh"
        yield f"frostline run runs/{name}/sweep.yaml --out runs/{name}-again"
        yield f"frostline report runs/{name}-again"
        yield "```"
        yield ""
    trial = info.front[0].replicates[0].trial_id if info.front else ""
    if trial and (folder / "trials" / trial / "config.yaml").is_file():
        yield "One trial alone, of the best config on the front:"
        yield ""
        yield "```sh"
        yield f"frostline train runs/{name}/trials/{trial}/config.yaml"
        yield "```"
        yield ""
    if (folder / "environment.json").is_file():
        yield "Versions and nodes: [environment.json](../environment.json)."
        yield ""
    yield "The numbers, for pandas:"
    yield ""
    yield "```python"
    yield "import results"
    yield ""
    yield f'tables = results.load("runs/{name}")  # .trials and .curves; columns: results/SCHEMA.md'
    yield "```"
