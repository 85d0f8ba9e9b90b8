"""`frostline plan`: what a sweep would train, without training it. Loads neither torch nor ray."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.run import Overrides

if TYPE_CHECKING:
    from orchestrator.plan_table import PlanRow, PlanTable
    from orchestrator.scheduling.disk_use import DiskUse
    from orchestrator.simulator.forecast import Forecast
    from orchestrator.simulator.options import ForecastOptions
    from search_spaces.spec.sweep_spec import SweepSpec

HEADERS = ("config", "params", "learned", "seeded", "stored", "frozen", "artifact MB", "trials")
_WIDTH = 100
_LEAST_LABEL_WIDTH = 20


def register(app: typer.Typer) -> None:
    """Add `plan` to the command line."""
    examples = (
        "plan search_spaces/seed_paper/section2_fineweb.yaml",
        "plan my.yaml --scale cpu --json",
        "plan my.yaml budget.trials=40 'space.model.dim.choice=[64,96]'",
        "plan search_spaces/overnight.yaml --fleet H100:2,A40:6",
    )
    epilog = "Examples:\n\n" + "\n\n".join(f"- `frostline {example}`" for example in examples)
    app.command("plan", no_args_is_help=True, epilog=epilog)(plan)


def plan(
    spec: Annotated[Path, typer.Argument(help="the sweep's YAML file", show_default=False)],
    overrides: Overrides = None,
    scale: Annotated[str | None, typer.Option(help="one of the file's scales, instead of what it says")] = None,
    rows: Annotated[int, typer.Option(min=1, help="how many configs to list")] = 100,
    everything: Annotated[bool, typer.Option("--all", help="list every config")] = False,
    count: Annotated[bool, typer.Option("--count", help="count every config, also those that are not listed")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object with the configs")] = False,
    fleet: Annotated[
        str | None, typer.Option(metavar="KIND:NUMBER,…", help="forecast a run on these machines, or local: this one")
    ] = None,
    address: Annotated[str | None, typer.Option(help="forecast a run on this Ray cluster, HOST:PORT")] = None,
    like: Annotated[str | None, typer.Option(metavar="RUN", help="a run whose trials say how long they take")] = None,
    nights: Annotated[int, typer.Option(min=5, max=10_000, help="how many to simulate for the forecast")] = 100,
    losses: Annotated[float, typer.Option(min=0, help="of one machine in a day, for the forecast")] = 0.0,
) -> None:
    """List what a sweep would train: weights by kind, phases, the artifact's size, what cannot fit; nothing is trained.

    learned and stored (frozen at trained values) weights cost bytes, seeded ones none. artifact MB: ≈ expected
    (≤ never more). Of a long plan the first configs are found without the rest.

    With --fleet or --address it forecasts what a run would bring: trials, hours, dollars, how busy each kind of device
    is, and what the budget cuts, by simulated nights that use the driver's own decisions.
    """
    from orchestrator.plan_table import disk_of, plan_table
    from orchestrator.search.planner import most_trials
    from search_spaces.spec.load import load_sweep

    sweep = load_sweep(spec, scale, tuple(overrides or ()))
    with _bar("planning trials", most_trials(sweep), is_long=count or everything) as advance:
        found = plan_table(sweep, None if everything else rows, count=count, advance=advance)
    notes, disk = _notes(sweep, found), disk_of(sweep, found, os.cpu_count() or 1)
    forecast = None
    if fleet is not None or address is not None:  # else pandas would be loaded for nothing
        from orchestrator.simulator.options import ForecastOptions

        options = ForecastOptions(fleet=fleet, address=address, like=like, num_nights=nights, losses_per_day=losses)
        forecast = _forecast(sweep, options)
    if as_json:
        scaled = None if sweep.scaled is None else sweep.scaled.name
        totals = {"num_configs": found.num_configs, "num_trials": found.num_trials, "most_trials": found.most_trials}
        used = {**dataclasses.asdict(disk), "slot_bytes": disk.slot_bytes, "total_bytes": disk.total_bytes}
        values = {"sweep": sweep.name, "scale": scaled, "notes": notes, **totals, "disk": used}
        values["forecast"] = None if forecast is None else forecast.as_dict()
        typer.echo(json.dumps({**values, "configs": [row.as_dict() for row in found.rows]}, indent=1))
        return
    lines = [f"{sweep.name}: {_counts(sweep, found)}", *notes, *_disk_lines(disk), *table(found.rows)]
    if forecast is not None:
        from orchestrator.simulator.forecast_text import lines_of

        lines += ["", *lines_of(forecast)]
    typer.echo("\n".join(lines))


def _forecast(sweep: SweepSpec, options: ForecastOptions) -> Forecast:
    """With a progress bar on stderr."""
    from orchestrator.simulator.options import planned_forecast

    with _bar("simulating nights", options.num_nights, is_long=True) as advance:
        return planned_forecast(sweep, options, advance)


@contextmanager
def _bar(what: str, total: int, is_long: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where that is a terminal."""
    if not is_long or not sys.stderr.isatty():
        yield lambda number: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda number: bar.advance(task, number)


def _notes(sweep: SweepSpec, found: PlanTable) -> list[str]:
    """What a user should know of the plan: what the budget cuts, what of the space is valid, and warnings."""
    from orchestrator.search.planner import note_on_budget
    from search_spaces.configs.draw_check import valid_share
    from search_spaces.spec.problems import render_problems
    from search_spaces.spec.sweep_rules import sweep_warnings

    notes = [] if found.num_trials is None else [note_on_budget(sweep, found.num_trials)]
    notes += [valid_share(sweep).text()] if sweep.draws else []
    notes += _ends(sweep)
    warnings = list(sweep_warnings(sweep, (row.config for row in found.rows)))
    notes += [f"warning: {line}" for line in render_problems(warnings, sweep.document).splitlines()]
    return [note for note in notes if note]


def _ends(sweep: SweepSpec) -> list[str]:
    """By what of the budget the sweep ends, besides trials, and the command that is run then."""
    budget, last = sweep.budget, sweep.on_finish
    limits = [f"{budget.hours:g} hours" if budget.hours else "", f"{budget.until}" if budget.until else ""]
    limits = [limit for limit in [*limits, f"{budget.usd:g} USD" if budget.usd else ""] if limit]
    lines = [f"ends by {', '.join(limits)}, whichever comes first"] if limits else []
    if last is not None:
        lines.append(f"on_finish ({', '.join(last.ends)}): {' '.join(last.command)}")
    return lines


def table(rows: Sequence[PlanRow]) -> list[str]:
    """Lines of at most 100 characters: figures of each config, then its phases and ranks where there is more to say."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in [HEADERS, *cells]) for i in range(1, len(HEADERS))]
    widths = [max(_LEAST_LABEL_WIDTH, _WIDTH - sum(2 + width for width in widths)), *widths]
    lines = [_line(HEADERS, widths)]
    for row, (label, *figures) in zip(rows, cells, strict=True):
        first, *others = textwrap.wrap(label, widths[0], subsequent_indent="  ")
        lines += [_line((first, *figures), widths), *others]
        lines += [part for text in _remarks(row) for part in _folded(text)]
    return lines


def _disk_lines(disk: DiskUse) -> list[str]:
    """How much disk the run folder takes; with `keep: {artifacts: front}` also what is left of it in the end."""
    about = "at most" if disk.is_bound else "about (by the largest config seen)"
    parts = [
        f"artifacts {_mb(disk.artifacts_bytes)}" if disk.artifacts_bytes else "",
        f"{_number(disk.num_slots, 'trial')} at once {_mb(disk.slot_bytes)} each",
        f"stopped trials {_mb(disk.kept_checkpoints_bytes)}" if disk.kept_checkpoints_bytes else "",
        f"tables and logs {_mb(disk.tables_bytes)}",
    ]
    lines = [f"disk: {about} {_mb(disk.total_bytes)} MB; in MB: {', '.join(filter(None, parts))}"]
    if disk.front_artifacts_bytes is not None:
        left = f"artifacts {_mb(disk.front_artifacts_bytes)} MB in the end"
        lines.append(f"disk: {left} (an estimate: one config in seven is on the front)")
    return [part for line in lines for part in textwrap.wrap(line, _WIDTH, subsequent_indent="  ")]


def _mb(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f}"


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="      ")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    (label, *figures), (label_width, *figure_widths) = cells, widths
    padded = [figure.rjust(width) for figure, width in zip(figures, figure_widths, strict=True)]
    return "  ".join([label.ljust(label_width), *padded]).rstrip()


def _cells(row: PlanRow) -> tuple[str, ...]:
    return (
        row.label,
        *(_millions(number) for number in (row.num_params, row.num_learned, row.num_seeded, row.num_stored_frozen)),
        f"{100 * row.frozen_share:.1f} %" if row.frozen_share else "–",
        f"≈{row.expected_bytes / 1e6:.2f} (≤{row.upper_bytes / 1e6:.2f})",
        str(len(row.seeds)),
    )


def _millions(number: int) -> str:
    return f"{number / 1e6:.2f}M" if number else "–"


def _remarks(row: PlanRow) -> list[str]:
    remarks = []
    if len(row.phases) > 1:
        remarks.append(" → ".join(_phase(phase.name, phase.steps, phase.num_freezes) for phase in row.phases))
    if row.rank is not None:
        ranks = " or ".join(map(str, row.break_even_ranks))
        kind = row.config.adapter.kind if row.config.adapter else ""
        remarks.append(f"{kind} rank {row.rank}; a trained pair holds as many numbers as its matrix from rank {ranks}")
    if row.refusal is not None:
        remarks.append(f"would not be trained: {row.refusal}")
    return remarks


def _phase(name: str, steps: int, num_freezes: int) -> str:
    return f"{name} {steps}" + (f" ({num_freezes} matrices held)" if num_freezes else "")


def _counts(sweep: SweepSpec, found: PlanTable) -> str:
    num_seeds = len({seed for row in found.rows for seed in row.seeds})
    seeds = _number(num_seeds, "seed")
    if found.num_configs is None:
        listed = f"the first {len(found.rows)} configs are listed{_fitting(found.rows, ', of which ')}"
        rest = f"method {sweep.method} chooses the rest" if sweep.is_adaptive else "--count counts them all"
        return f"at most {found.most_trials:,} trials, {seeds}{_later(sweep)}; {listed}. {rest}"
    assert found.num_trials is not None
    configs = f"{_number(found.num_configs, 'config')}, {_number(found.num_trials, 'trial')}, {seeds}"
    if found.is_whole:
        return configs + _fitting(found.rows, "; ")
    return f"{configs}; the first {len(found.rows)} are listed{_fitting(found.rows, ', of which ')}"


def _later(sweep: SweepSpec) -> str:
    """Trials that are given once there are results: further seeds, and confirmation."""
    parts = []
    if sweep.replicating == "near_front" and len(sweep.seeds) > 1:
        parts.append(f", up to {len(sweep.seeds)} near the front")
    if sweep.num_to_confirm:
        configs = _number(sweep.num_confirmed, "config")
        parts.append(f", and up to {sweep.num_to_confirm} to confirm {configs} of the front")
    return "".join(parts)


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _fitting(rows: Sequence[PlanRow], link: str) -> str:
    """How many configs are known to keep the limits in bytes, and how many to break them; nothing where none is set."""
    if all(row.fits_surely is None for row in rows):
        return ""
    num_refused = sum(not row.admitted for row in rows)
    refused = f", {num_refused} would not be trained" if num_refused else ""
    return f"{link}{sum(row.fits_surely is True for row in rows)} surely fit{refused}"
