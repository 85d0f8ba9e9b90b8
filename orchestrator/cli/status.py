"""`frostline status`: what a sweep does now, from any terminal, in a moment and without a server."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

SECONDS_OF_SILENCE = 60.0  # of a driver in an object store: it renews its lock every five
SECONDS_BETWEEN_LOOKS = 2.0


def register(app: typer.Typer) -> None:
    """Add `status` to the command line."""
    examples = ("status runs/night", "status runs/night --watch", "status s3://bucket/runs/night --json")
    epilog = "Examples:\n\n" + "\n\n".join(f"- `frostline {example}`" for example in examples)
    app.command("status", no_args_is_help=True, epilog=epilog)(status)


def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run folder, or s3://BUCKET/FOLDER", show_default=False)],
    watch: Annotated[bool, typer.Option("--watch", help="again and again, until the driver ends")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show whether a driver is at work, counts, what runs where, what was spent, the expected end, the best so far.

    The state is `running`, `stopped` (the same command goes on), `finished`, or `lost`: the driver ended without a
    word.
    """
    while True:
        facts = read_status(run)
        if as_json:
            typer.echo(json.dumps(facts, indent=1))
        else:
            if watch:
                typer.echo("\033[2J\033[H", nl=False)  # clears the terminal
            typer.echo("\n".join(status_lines(run, facts, datetime.now(UTC))))
        if not watch or facts["state"] != "running":
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def read_status(run: str) -> dict[str, Any]:
    """What the driver wrote last; its state is `lost` if it says that it runs and does not.

    Raises:
        UsageError: if there is no run, or none that a driver of this version has worked on.
    """
    from results.object_store import is_uri

    facts, is_alive = _of_store(run) if is_uri(run) else _of_folder(Path(run))
    if facts["state"] == "running" and not is_alive:
        facts["state"] = "lost"
    return facts


def status_lines(run: str, facts: dict[str, Any], now: datetime) -> list[str]:
    """The same in words."""
    driver, trials = facts["driver"], facts["trials"]
    since = datetime.fromisoformat(driver["since"])
    until = now if facts["state"] == "running" else datetime.fromisoformat(facts["updated_at"])
    who = f"process {driver['process']} on {driver['host']}, {_clock(since)} to {_clock(until)}"
    lines = [f"{facts['sweep']}: {_state(facts)} ({who}, {_duration((until - since).total_seconds())})"]
    ends = [
        f"{trials[name]} {name.replace('_', ' ')}"
        for name in trials
        if name not in ("all", "done", "running", "waiting")
    ]
    done = f"{trials['done']} of {trials['all']} done" + (f" ({', '.join(ends)})" if ends else "")
    lines.append(f"trials: {done}, {trials['running']} running, {trials['waiting']} waiting")
    lines += _money(facts)
    if facts["remaining_seconds"] is not None:
        seconds = facts["remaining_seconds"]
        lines.append(f"expected end: {_clock(now + timedelta(seconds=seconds))}, in {_duration(seconds)}")
    for best in facts["bests"] if "bests" in facts else filter(None, [facts["best"]]):  # as older drivers wrote it
        size = "" if best["artifact_bytes"] is None else f" in {best['artifact_bytes']:,} bytes"
        where = f" on {best['accelerator']}" if best.get("accelerator") else ""
        lines.append(f"best{where}: {best['column']} {best['value']:.4f}{size} ({best['trial_id']})")
    lines += facts["notes"]
    lines += _running(facts["running"]) if facts["state"] == "running" else []
    return lines


def _state(facts: dict[str, Any]) -> str:
    if facts["state"] == "lost":
        return "lost: its driver ended without a word, and the same command goes on"
    if facts["state"] == "stopped":
        return f"stopped ({facts['reason'] or 'interrupted'}), and the same command goes on"
    return str(facts["state"])


def _money(facts: dict[str, Any]) -> list[str]:
    parts, budget = [], facts["budget"]
    if facts["spent_usd"] is not None:
        of = f" of {budget['usd']:g}" if "usd" in budget else ""
        rate = f", {facts['usd_per_hour']:g} USD/hour now" if facts["usd_per_hour"] else ""
        parts.append(f"spent {facts['spent_usd']:.2f}{of} USD{rate}")
    if facts["budget_left_seconds"] is not None and facts["state"] == "running":
        parts.append(
            f"{_duration(max(0.0, facts['budget_left_seconds']))} until budget.{facts['budget_limit']} ends it"
        )
    return ["; ".join(parts)] if parts else []


def _running(trials: list[dict[str, Any]]) -> list[str]:
    if not trials:
        return []
    from orchestrator.cluster.node_table import plain_table

    rows = [("trial", "on", "stage", "step", "ce", "tokens/s")]
    for one in trials:
        ce = "–" if one["ce"] is None else f"{one['ce']:.4f}"
        step = f"{one['step']:,} of {one['total_steps']:,}" if one["total_steps"] else "–"
        rows.append((one["trial_id"], one["accelerator"], one["stage"], step, ce, f"{one['tokens_per_s']:,.0f}"))
    return plain_table(rows)


def _of_folder(folder: Path) -> tuple[dict[str, Any], bool]:
    from trainer.errors import Busy
    from trainer.locks import sole_owner

    try:
        facts = json.loads((folder / "status.json").read_bytes())
    except (OSError, ValueError):
        raise _no_status(str(folder)) from None
    try:
        with sole_owner(folder):
            return facts, False
    except Busy:
        return facts, True


def _of_store(uri: str) -> tuple[dict[str, Any], bool]:
    import obstore
    from obstore.exceptions import BaseError

    from orchestrator.errors import UsageError
    from results.errors import ResultsError
    from results.object_store import LOCK_FILE, in_one_line, open_bucket

    try:
        bucket = open_bucket(uri)
        facts = json.loads(bytes(obstore.get(bucket, "status.json").bytes()))
        renewed = obstore.head(bucket, LOCK_FILE)["last_modified"]
    except (FileNotFoundError, ValueError):
        raise _no_status(uri) from None
    except (BaseError, PermissionError, ResultsError) as error:
        raise UsageError(f"{uri} cannot be read: {in_one_line(error)}") from None
    return facts, (datetime.now(UTC) - renewed).total_seconds() < SECONDS_OF_SILENCE


def _no_status(run: str) -> Exception:
    from orchestrator.errors import UsageError

    return UsageError(f"{run} has no status.json: either it is no run, or no driver has worked on it yet")


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%d %b %H:%M")


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds // 60), int(seconds // 3_600)
    if not minutes:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if not hours else f"{hours} h {minutes % 60:02d} min"
