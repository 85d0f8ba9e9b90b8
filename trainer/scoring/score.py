"""Scores the artifact of a submission: `python score.py --data DIR`. All code that is counted is reached from here.

The same file is `score.py` in the folder of a submission. It compares every file with its SHA-256, then loads the rest.
Exit code 2: something is missing, damaged or not what was handed in; 1: the score is not the one that was handed in.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Score the artifact.frost beside this file.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the validation shards")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="by default the one of submission.json")
    parser.add_argument("--test", action="store_true", help="also score the text behind the validation tokens")
    options, folder = parser.parse_args(), Path(__file__).parent
    try:
        listed = read_sums(folder / "SHA256SUMS")
        check_files(folder, listed)
        check_nothing_else_is_imported(folder, listed)
        sums = read_sums(folder / "data.sha256")
        check_files(options.data, {name: sums[name] for name in sums if re.search(r"_val_\d{6}\.bin$", name)})
        sys.dont_write_bytecode = True  # the folder stays as it was handed in
        from trainer.scoring.submission import score_submission

        sys.exit(score_submission(folder, options.data, sums, device=options.device, scores_test=options.test))
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def read_sums(path: Path) -> dict[str, str]:
    """SHA-256 of each file by its name, as `sha256sum` writes them."""
    lines = (line.partition("  ") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: sha256 for sha256, _, name in lines}


def check_files(folder: Path, sums: dict[str, str]) -> None:
    """Raises ValueError, with a line for each file that is missing or has another SHA-256."""
    problems = []
    for path, sha256 in ((folder / name, sha256) for name, sha256 in sums.items()):
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            problems.append(f"{path} is damaged, or another file: its SHA-256 is not {sha256}")
    if problems:
        raise ValueError("\nerror: ".join(problems))


def check_nothing_else_is_imported(folder: Path, listed: dict[str, str]) -> None:
    """Raises ValueError, with a line for each file beside the listed ones that Python might load instead of them."""
    patterns = ("*.py*", "*.so", "*/__init__.py", "trainer/**/*")
    code = (path for pattern in patterns for path in folder.glob(pattern))
    names = {path.relative_to(folder).as_posix() for path in code if path.is_file()}
    if others := sorted(names - listed.keys()):
        raise ValueError("\nerror: ".join(f"{folder / name} is not in SHA256SUMS: remove it" for name in others))


if __name__ == "__main__":
    main()
