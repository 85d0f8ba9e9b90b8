"""`frostline plan`: what a sweep would train, without training it. Loads neither torch nor ray."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.plan_table import PlanRow

HEADERS = ("config", "params", "learned", "seeded", "stored", "frozen", "artifact MB", "trials")
_WIDTH = 100
_LEAST_LABEL_WIDTH = 20


def register(app: typer.Typer) -> None:
    """Add `plan` to the command line."""
    examples = ("plan search_spaces/seed_paper/section2_fineweb.yaml", "plan my.yaml --scale cpu --json")
    epilog = "Examples: " + "  ·  ".join(f"frostline {example}" for example in examples)
    app.command("plan", no_args_is_help=True, epilog=epilog)(plan)


def plan(
    spec: Annotated[Path, typer.Argument(help="the sweep's YAML file", show_default=False)],
    scale: Annotated[str | None, typer.Option(help="one of the file's scales, instead of what it says")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object with every config")] = False,
) -> None:
    """List what a sweep would train: weights by kind, phases, the artifact's size, what cannot fit; nothing is trained.

    learned and stored (frozen at trained values) weights cost bytes, seeded ones none. artifact MB: ≈ expected
    (≤ never more).
    """
    from orchestrator.plan_table import plan_rows
    from orchestrator.search.planner import note_on_budget
    from search_spaces.spec.load import load_sweep

    sweep = load_sweep(spec, scale)
    rows = plan_rows(sweep)
    note = note_on_budget(sweep, sum(len(row.seeds) for row in rows))
    if as_json:
        scaled = None if sweep.scaled is None else sweep.scaled.name
        values = {"sweep": sweep.name, "scale": scaled, "note": note, "configs": [row.as_dict() for row in rows]}
        typer.echo(json.dumps(values, indent=1))
    else:
        typer.echo("\n".join([f"{sweep.name}: {_counts(rows)}", *filter(None, [note]), *table(rows)]))


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


def _counts(rows: Sequence[PlanRow]) -> str:
    num_trials, num_seeds = sum(len(row.seeds) for row in rows), len({seed for row in rows for seed in row.seeds})
    seeds = "1 seed" if num_seeds == 1 else f"{num_seeds} seeds"
    return f"{len(rows)} configs, {num_trials} trials, {seeds}{_fitting(rows)}"


def _fitting(rows: Sequence[PlanRow]) -> str:
    """How many configs are known to keep the limits in bytes, and how many to break them; nothing where none is set."""
    if all(row.fits_surely is None for row in rows):
        return ""
    num_refused = sum(not row.admitted for row in rows)
    refused = f", {num_refused} would not be trained" if num_refused else ""
    return f"; {sum(row.fits_surely is True for row in rows)} surely fit{refused}"
