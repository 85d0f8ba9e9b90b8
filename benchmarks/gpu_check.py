"""Everything that needs a card to be believed, in under ten minutes and without anybody watching: `make gpu-check`.

Each section runs in a process of its own with a time limit, so one that fails or hangs stops no other. Writes
`gpu_check.json`, `gpu_check.md` and `gpu_check.log` to the output folder; the exit code is 1 if a section failed.

    python benchmarks/gpu_check.py --out build/gpu_check
    python benchmarks/gpu_check.py --out build/gpu_check --only recipes throughput
    python benchmarks/gpu_check.py --out build/cpu_check --device cpu --tiny     # the same code without a card
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_sections import SECTIONS, Setting

SECONDS_OF_ALL = 600.0
MOST_SECONDS_OF_A_SECTION = 200.0  # one that hangs leaves time for the others
LEAST_SECONDS_OF_A_SECTION = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a section found, or why it failed."""

    section: str
    claim: str
    ok: bool
    seconds: float
    findings: dict[str, Any]
    error: str | None = None


def run_section(name: str, setting: Setting, log_file: Path, limit_seconds: float) -> Outcome:
    """One section in a process of its own; the last line that it prints is what it found."""
    command = [sys.executable, __file__, "--section", name, "--out", str(setting.folder), "--device", setting.device]
    command += ["--tiny"] if setting.tiny else []
    started, error = time.monotonic(), None
    # a session of its own: what the section has started ends with it
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=limit_seconds)
        if process.returncode:
            error = _last_line(errors)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        error = f"took more than {limit_seconds:.0f} s"
    with log_file.open("a") as log:
        log.write(f"==== {name}\n{output}{errors}\n")
    findings = json.loads(_last_line(output)) if error is None else {}
    ok, claim = error is None and bool(findings.pop("ok")), SECTIONS[name].__doc__ or ""
    seconds = time.monotonic() - started
    return Outcome(section=name, claim=claim.splitlines()[0], ok=ok, seconds=seconds, findings=findings, error=error)


def limit_of(seconds_left: float) -> float:
    """How long the next section may take."""
    return min(MOST_SECONDS_OF_A_SECTION, max(LEAST_SECONDS_OF_A_SECTION, seconds_left))


def as_markdown(outcomes: Sequence[Outcome], setting: Setting) -> str:
    """The page: a line for each section, then what each found."""
    lines = [f"# Check on {setting.device}", "", "| section | | seconds | claim |", "| --- | --- | ---: | --- |"]
    lines += [f"| {o.section} | {'ok' if o.ok else '**failed**'} | {o.seconds:.0f} | {o.claim} |" for o in outcomes]
    for outcome in outcomes:
        lines += ["", f"## {outcome.section}", ""]
        lines += [f"failed: {outcome.error}"] if outcome.error else []
        for key, value in outcome.findings.items():
            lines += _table(key, value) if isinstance(value, list) and value else [f"- {key}: {_shown(value)}"]
    return "\n".join(lines) + "\n"


def _table(key: str, rows: list[dict[str, Any]]) -> list[str]:
    names = list(rows[0])
    body = ["| " + " | ".join(_shown(row.get(name)) for name in names) + " |" for row in rows]
    return ["", f"{key}:", "", f"| {' | '.join(names)} |", "|" + " --- |" * len(names), *body, ""]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/gpu_check"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes and few steps, to test this script")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections alone")
    parser.add_argument("--section", choices=list(SECTIONS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    setting = Setting(folder=options.out.resolve(), device=options.device, tiny=options.tiny)
    setting.folder.mkdir(parents=True, exist_ok=True)
    if options.section:
        print(json.dumps(SECTIONS[options.section](setting)))
        return
    log_file = setting.folder / "gpu_check.log"
    log_file.unlink(missing_ok=True)
    deadline, outcomes = time.monotonic() + SECONDS_OF_ALL, []
    for name in options.only or SECTIONS:
        outcomes.append(run_section(name, setting, log_file, limit_of(deadline - time.monotonic())))
        last = outcomes[-1]
        print(f"{name}: {'ok' if last.ok else 'FAILED'} in {last.seconds:.0f} s {last.error or ''}", flush=True)
        (setting.folder / "gpu_check.md").write_text(as_markdown(outcomes, setting))
        values = [dataclasses.asdict(outcome) for outcome in outcomes]
        (setting.folder / "gpu_check.json").write_text(json.dumps(values, indent=1))
    print(f"{setting.folder / 'gpu_check.md'}")
    sys.exit(0 if all(outcome.ok for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
