"""Commands that read a run's tables: `frostline pareto` and `frostline report`.

Heavy packages are imported inside the commands: `frostline --help` must stay quick.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import sys
import threading
import webbrowser
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from results.analysis.objectives import Goals
    from results.analysis.pareto_info import ParetoInfo
    from results.analysis.replicate_groups import Group
    from results.page.page_info import RunState

_SECONDS_OF_SILENCE = 2.0

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Run folders, a quoted pattern such as 'runs/*', or s3://BUCKET/FOLDER."),
]
Objectives = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        "-o",
        metavar="COLUMN=min|max",
        help="What the front is of; may be repeated. Default: the sweep's, else ce=min and artifact_bytes=min.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="BYTES", help="Largest artifact with its code. Default: the sweep's constraints, else 16000000."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object with every config.")]
All = Annotated[bool, typer.Option("--all", help="Also list dominated configs beyond 20, and those over the limit.")]


def register(app: typer.Typer) -> None:
    """Add `pareto` and `report` to the command line."""
    app.command("pareto", no_args_is_help=True, epilog=_examples("pareto runs/quickstart", "pareto 'runs/*' --json"))(
        pareto
    )
    app.command(
        "report",
        no_args_is_help=True,
        epilog=_examples(
            "report runs/a",
            "report runs/a runs/b --open",
            "report runs/a runs/b --limit 16000000 -o ce -o artifact_bytes",
            "report s3://bucket/runs/a",
        ),
    )(report)


def pareto(
    runs: Runs, objective: Objectives = None, limit: Limit = None, as_json: Json = False, everything: All = False
) -> None:
    """Show the Pareto front of a run under its byte budget: CE with interval, bytes, bpb, difference from control."""
    import results
    from results.analysis.pareto_info import pareto_info

    with one_line_errors():
        tables = results.load(runs)
        goals = goals_of(tables.folders, objective, limit)
        info = pareto_info(tables, goals.objectives, goals.constraints)
    if as_json:
        typer.echo(json.dumps(info.as_dict(), indent=1, allow_nan=False))
    else:
        _print(info, everything)


def report(
    runs: Runs,
    objective: Objectives = None,
    limit: Limit = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where index.html is written. Default: RUN/report, of several runs report-A-B.", metavar="DIR"
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
) -> None:
    """Write a page of one or several runs that any browser opens: front, settings, curves, devices, money, all trials.

    The page is one file without a server: RUN/report/index.html. Of one run, report.md with its pictures is written
    beside it, for pull requests. Of a run in an object store, the folder RUN-report is made here with its tables and
    report. While a sweep runs, the same command renews the page.
    """
    from orchestrator.cli.run_folders import readable_folder
    from results.page.build import write_page
    from results.page.page_info import read_page_info
    from results.report.markdown_report import write_report_of

    with one_line_errors(), _says_after_a_while(f"reading {', '.join(runs)} …"):
        folders = {readable_folder(run, to=Path(f"{Path(run).name}-report")): run for run in runs}
        page = read_page_info(list(folders), out, goals=lambda found: goals_of(found, objective, limit))
        states = tuple(_state(folders.get(folder, str(folder))) for folder in page.folders)
        command = _report_command(runs, objective, limit, out)
        path = write_page(dataclasses.replace(page, states=states, command=command))
    typer.echo(f"page: {path}")
    if show:
        webbrowser.open(path.resolve().as_uri())
    if len(page.folders) > 1:
        return
    with one_line_errors(), _says_after_a_while("drawing the pictures of report.md …"):
        markdown = write_report_of(page.folders[0], page.tables, page.info)
    typer.echo(f"report: {markdown}")
    for picture in sorted(markdown.parent.glob("*.png")):
        typer.echo(f"picture: {picture}")


def _report_command(runs: Sequence[str], objective: Sequence[str] | None, limit: int | None, out: Path | None) -> str:
    """The command as it was given; of absolute paths only the end, since a page is sent to others."""
    from results.object_store import is_uri
    from results.page.page_info import run_name

    words = [run if is_uri(run) else run_name(Path(run)) for run in runs]
    words += [word for one in objective or () for word in ("--objective", one)]
    words += [] if limit is None else ["--limit", str(limit)]
    words += [] if out is None or out.is_absolute() else ["--out", str(out)]
    return shlex.join(["frostline", "report", *words])


def _state(run: str) -> RunState | None:
    """What the driver of a run said last; None if it said nothing, as one of an older version."""
    from orchestrator.cli.status import read_status
    from orchestrator.errors import UsageError
    from results.page.page_info import RunState

    try:
        facts = read_status(run)
    except UsageError:
        return None
    trials = facts["trials"]
    return RunState(
        state=facts["state"],
        num_done=trials["done"],
        num_all=trials["all"],
        num_running=trials["running"],
        updated_at=facts["updated_at"],
    )


@contextlib.contextmanager
def _says_after_a_while(text: str) -> Iterator[None]:
    """A line on the error stream where the work within takes over two seconds."""
    timer = threading.Timer(_SECONDS_OF_SILENCE, typer.echo, (text,), {"err": True})
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _examples(*commands: str) -> str:
    return "Examples: " + "  ·  ".join(f"frostline {command}" for command in commands)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Bad input ends the command with its message and exit code 2."""
    from results.errors import ResultsError

    try:
        yield
    except (ResultsError, PermissionError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


def goals_of(folders: Sequence[Path], objective: Sequence[str] | None, limit: int | None) -> Goals:
    """What the options say, and for the rest what the sweeps say."""
    from results.analysis.objectives import Constraint, Goals, parse_objective, read_goals

    asked = Goals() if objective and limit is not None else read_goals(folders)
    objectives = dict(map(parse_objective, objective)) if objective else asked.objectives
    constraints = asked.constraints if limit is None else (Constraint("total_bytes", "<=", limit),)
    return Goals(objectives=objectives, constraints=constraints)


def _print(info: ParetoInfo, everything: bool) -> None:
    from results.report import formatting
    from results.report.conclusions import conclusions

    groups = formatting.table_groups(info, everything=everything)
    title = f"{', '.join(info.sweeps)}: {formatting.objectives_text(info)} under {formatting.constraints_text(info)}"
    for heading, part in formatting.by_front(info, groups) or [("", [])]:
        above = f"{title}, {heading}" if heading else title
        if sys.stdout.isatty():
            _print_rich(above, part)
        else:
            typer.echo("\n".join([above, *plain_table([formatting.HEADERS, *map(formatting.group_cells, part)])]))
    typer.echo("* on the front; P(fr): the probability that it stays there with other seeds")
    typer.echo("vs untuned: CE against the equal baseline, which was not tuned itself, paired by seed; decides nothing")
    if left_out := len(info.groups) - len(groups):
        typer.echo(f"not listed: {left_out} dominated or infeasible (--all lists them)")
    for note in info.notes:
        typer.echo(f"note: {note}")
    typer.echo(formatting.headline(info))
    typer.echo(formatting.not_counted_text(info))
    if doubts := formatting.doubt_text(info):
        typer.echo(doubts)
    for line in conclusions(info):
        typer.echo(line)


def plain_table(rows: Sequence[Sequence[str]], left: Collection[int] = (1,)) -> list[str]:
    """Aligned columns two spaces apart, nothing cut: for pipes and files.

    Args:
        left: columns that read from the left, as names do; numbers read from the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _print_rich(title: str, groups: Sequence[Group]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from results.report import formatting

    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold", expand=False)
    for header in formatting.HEADERS:
        name = header == "config"
        table.add_column(
            header, justify="left" if name else "right", overflow="fold", no_wrap=not name and header != "tokens/s"
        )
    for group in groups:
        style = "bold green" if group.on_front else "" if group.feasible else "dim"
        table.add_row(*map(Text, formatting.group_cells(group)), style=style)
    Console().print(table)
