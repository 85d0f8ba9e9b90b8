"""`frostline train`, `eval`, `replay` and `submit`: one trial or one artifact, without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataRoot = Annotated[Path, typer.Option("--data-root", help="folder of the prepared datasets")]


def register(app: typer.Typer) -> None:
    """Add `train`, `eval`, `replay` and `submit` to the command line."""
    app.command("train", epilog="Example: `frostline train trial.yaml --out runs/one`")(train)
    app.command("eval", epilog="Example: `frostline eval runs/x/trials/y/artifact.frost --data stdlib`")(evaluate)
    app.command("replay", epilog="Example: `frostline replay runs/widths baseline-4L128d-s1`")(replay)
    app.command("submit", epilog="Example: `frostline submit runs/widths baseline-4L128d-s1 --out submission`")(submit)


def train(
    trial: Annotated[Path, typer.Argument(help="YAML of one trial: the keys of a sweep's `base`, and a seed")],
    out: Annotated[Path | None, typer.Option(help="trial folder; by default runs/train/TRIAL, by its id")] = None,
    data_root: DataRoot = Path("data"),
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Train, pack, reload and score one trial, without Ray. Run it again to go on after an interruption."""
    from orchestrator.single_trial import train_one

    raise typer.Exit(train_one(trial, out=out, data_root=data_root, as_json=as_json))


def evaluate(
    artifact: Annotated[Path, typer.Argument(help="an artifact.frost", show_default=False)],
    data: Annotated[str | None, typer.Option(help="dataset; by default the one it was trained on")] = None,
    data_root: DataRoot = Path("data"),
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default as its own trial was scored")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the score as JSON")] = False,
) -> None:
    """Reload an artifact in this fresh process and score it as its trial did: the same ce to the last digit."""
    from orchestrator.single_trial import evaluate_artifact

    raise typer.Exit(evaluate_artifact(artifact, data=data, data_root=data_root, device=device, as_json=as_json))


def replay(
    run: Annotated[str, typer.Argument(help="a run folder", show_default=False)],
    trial: Annotated[str, typer.Argument(help="a trial's id, or a unique beginning of it", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="new folder to keep the replay in; by default it is not kept")
    ] = None,
    data_root: DataRoot = Path("data"),
) -> None:
    """Train a trial again from its row of the table alone, and say whether the bits agree."""
    from orchestrator.cli.run_folders import local_folder
    from orchestrator.single_trial import replay_trial

    raise typer.Exit(replay_trial(local_folder(run), trial, out=out, data_root=data_root))


def submit(
    run: Annotated[str, typer.Argument(help="a run folder, or s3://BUCKET/FOLDER", show_default=False)],
    trial: Annotated[
        str | None,
        typer.Argument(help="a trial's id, or a unique beginning of it; by default the best config's of lowest seed"),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="new folder, the submission", show_default=False)],
    data_root: DataRoot = Path("data"),
    artifact: Annotated[Path | None, typer.Option(help="its artifact.frost, where the run has not kept it")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="BYTES", help="of artifact and code")] = 16_000_000,
    recount: Annotated[bool, typer.Option("--recount", help="take the code of today, and state both counts")] = False,
    author: Annotated[str, typer.Option(help="for submission.json")] = "",
    github_id: Annotated[str, typer.Option(help="for submission.json")] = "",
    name: Annotated[str, typer.Option(help="title; by default what the config is called in its run")] = "",
) -> None:
    """Write a folder that is handed in: artifact, tokenizer, the counted code, score.py, figures and how to check."""
    from orchestrator.submission.gather import SubmitOptions
    from orchestrator.submission.handed_in import Author
    from orchestrator.submission.submit import submit_trial

    whose = Author(author=author, github_id=github_id, name=name)
    options = SubmitOptions(
        trial=trial, artifact=artifact, data_root=data_root, limit_bytes=limit, recounts=recount, author=whose
    )
    submit_trial(run, options, out)
