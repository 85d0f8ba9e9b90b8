"""Gathers what is handed in from a run, the data and the installed code, and refuses what does not fit together."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from pathlib import Path

from rich.console import Console

import results
from orchestrator.errors import UsageError
from orchestrator.submission.choose import best_trial, chosen_row, group_of
from orchestrator.submission.handed_in import LIMIT_BYTES, Author, HandedIn
from results.analysis.objectives import read_goals
from results.analysis.pareto_info import pareto_info
from results.analysis.replicate_groups import Row, to_rows
from results.errors import ResultsError
from results.object_store import fetch_file, is_uri
from trainer.artifact.code_size import code_bytes, code_sha256, scoring_files
from trainer.artifact.read import read
from trainer.config.trial import TrialConfig
from trainer.data.dataset import Dataset, open_dataset
from trainer.errors import ArtifactError, DataError
from trainer.trial_files import TrialFiles

FILES = TrialFiles(Path())  # their names alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmitOptions:
    """What `frostline submit` was told.

    Args:
        trial: an id or a unique beginning of one; None takes the best, see `best_trial`.
        artifact: the file, where the run has not kept it.
        recounts: hand in with the code of another version than the row was counted with.
    """

    trial: str | None = None
    artifact: Path | None = None
    data_root: Path = Path("data")
    limit_bytes: int = LIMIT_BYTES
    recounts: bool = False
    author: Author = dataclasses.field(default_factory=Author)


def gather(run: str, options: SubmitOptions) -> HandedIn:
    """All that the folder is made from, checked.

    Raises:
        UsageError: if there is no such trial, its artifact is not there, it is over the limit, or the data or the code
            here are not those of its row.
    """
    try:
        with Console(stderr=True).status(f"reading {run}"):
            tables = results.load(run)
            goals = read_goals(tables.folders)
            info = pareto_info(tables, goals.objectives, goals.constraints)
            row = chosen_row(to_rows(tables.trials), options.trial or best_trial(info))
            log = _file_of_trial(run, row, FILES.log_file.name)
            artifact = _artifact(run, row, options.artifact)
    except ResultsError as error:
        raise UsageError(str(error)) from error
    _check_code(row, recounts=options.recounts)
    if (total := len(artifact) + code_bytes()) > options.limit_bytes:
        raise UsageError(
            f"{row['trial_id']} has {total:,} bytes with its code, {total - options.limit_bytes:,} over the limit of "
            f"{options.limit_bytes:,}: hand in a smaller one, or give another --limit"
        )
    config = _config(artifact)
    return HandedIn(
        row=row,
        config=config,
        artifact=artifact,
        log=log,
        dataset=_dataset(config, row, options.data_root),
        code=scoring_files(),
        code_bytes=code_bytes(),
        group=group_of(info, row),
        info=info,
        author=options.author,
    )


def _artifact(run: str, row: Row, given: Path | None) -> bytes:
    """The artifact that the row describes. Raises UsageError if it is not there, or another file is."""
    trial_id, name = row["trial_id"], FILES.artifact_file.name
    content = _file_of_trial(run, row, name) if given is None else given.read_bytes()
    if content is None:
        raise UsageError(
            f"the artifact of {trial_id} is not in {run} (see keep in its sweep.yaml): `frostline replay {run} "
            f"{trial_id} --out FOLDER` trains it again, then give --artifact FOLDER/{name}"
        )
    if (sha256 := hashlib.sha256(content).hexdigest()) != row["artifact_sha256"]:
        raise UsageError(
            f"{given or name} is not the artifact of {trial_id}: its SHA-256 is {sha256}, "
            f"that of the row is {row['artifact_sha256']}"
        )
    return content


def _file_of_trial(run: str, row: Row, name: str) -> bytes | None:
    """A file of the trial's folder; None if it is not there."""
    place = f"trials/{row['trial_id']}/{name}"
    if is_uri(run):
        return fetch_file(run, place)
    path = Path(run) / place
    return path.read_bytes() if path.is_file() else None


def _check_code(row: Row, *, recounts: bool) -> None:
    """Raises UsageError if the code installed here is not what the row was counted with."""
    if row["code_sha256"] != code_sha256() and not recounts:
        raise UsageError(
            f"{row['trial_id']} was counted with other code than is installed here ({row['code_bytes']:,} bytes, "
            f"frostline {row['frostline_version']}; here {code_bytes():,} bytes): install what the run was made with, "
            "or give --recount, which hands in the code of today and states both numbers"
        )


def _config(artifact: bytes) -> TrialConfig:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILES.artifact_file.name
        path.write_bytes(artifact)
        try:
            return read(path).config
        except ArtifactError as error:
            raise UsageError(str(error)) from error


def _dataset(config: TrialConfig, row: Row, data_root: Path) -> Dataset:
    """The trial's own data. Raises UsageError if it is not here, or other data has its name."""
    try:
        dataset = open_dataset(config.data, data_root)
    except DataError as error:
        raise UsageError(str(error)) from error
    if dataset.sha256 != row["data_sha256"]:
        raise UsageError(
            f"{config.data} in {data_root} is not the data of {row['trial_id']}: its fingerprint is {dataset.sha256}, "
            f"that of the row is {row['data_sha256']}; give the folder that holds it by --data-root"
        )
    return dataset
