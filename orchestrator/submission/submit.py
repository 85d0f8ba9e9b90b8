"""`frostline submit`: gather, write, and say what was written and what is to be done with it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.submission.folder import check_new, write_folder
from orchestrator.submission.gather import SubmitOptions, gather
from orchestrator.submission.handed_in import HandedIn


def submit_trial(run: str, options: SubmitOptions, folder: Path) -> None:
    """Write the submission of a trial. Raises UsageError, before anything is written, if something does not fit."""
    check_new(folder)
    submission = gather(run, options)
    write_folder(submission, folder)
    print("\n".join(_text(submission, options, folder)))


def _text(submission: HandedIn, options: SubmitOptions, folder: Path) -> list[str]:
    row, said = submission.row, submission.as_json()
    taken = "" if options.trial else " (the config of least CE on the front, its lowest seed)"
    code = f"code {submission.code_bytes:,}"
    if row["code_bytes"] != submission.code_bytes:
        code += f", counted again: {row['code_bytes']:,} in the row"
    empty = [key for key in ("author", "github_id") if not said[key]]
    return [
        f"{row['trial_id']}{taken}",
        f"ce {row['ce']!r} nats per token, bpb {row['bpb']!r}",
        f"{submission.total_bytes:,} bytes (artifact {len(submission.artifact):,}, {code})",
        *([f"note: the node that trained it was suspect: {row['suspect']}"] if row.get("suspect") else []),
        *([f"fill in {' and '.join(empty)} in {folder / 'submission.json'}"] if empty else []),
        "check it, in a new environment:",
        f"  pip install -r {folder / 'requirements.txt'}",
        f"  python {folder / 'score.py'} --data {options.data_root / 'datasets' / submission.dataset.name}",
    ]
