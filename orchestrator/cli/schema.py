"""`frostline schema`: the JSON Schema of sweep files, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `schema` to the command line."""
    epilog = "Examples:\n\n- `frostline schema > sweep.schema.json`\n\n- `frostline schema --out sweep.schema.json`"
    app.command("schema", epilog=epilog)(schema)


def schema(
    out: Annotated[Path | None, typer.Option(help="file to write; by default it is printed")] = None,
) -> None:
    """Print the JSON Schema of sweep files.

    Editors complete and check keys with it: begin a sweep file with the line
    `# yaml-language-server: $schema=sweep.schema.json`.
    """
    from search_spaces.json_schema import render

    if out is None:
        typer.echo(render(), nl=False)
    else:
        out.write_text(render(), encoding="utf-8")
        typer.echo(f"schema: {out}")
