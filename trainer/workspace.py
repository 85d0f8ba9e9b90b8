"""Where a trial runs, and what it calls while it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from trainer.control import GO_ON, Command, Stage
from trainer.training.state import Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a trial runs.

    Args:
        folder: gets `config.yaml`, `result.json` or `state.json`, `curve.parquet`, `artifact.frost`, `log.txt` and,
            while the trial is not finished, `checkpoint/`.
        data_root: folder of the prepared datasets.
        data_sha256: fingerprint that the dataset must have; None accepts any.
        has_gpu: whether the scheduler assigned the trial a GPU.
        accelerator: the kind of device, by Ray's name; None: CPU, or the card's own name.
        moves_anywhere: go on from a checkpoint of another accelerator.
        scores_test: also score the artifact on the second part of the validation text, to confirm what was found.
        is_looked_at: score a few validation tokens on the way, for early stopping; see `training/looks.py`.
    """

    folder: Path
    data_root: Path
    data_sha256: str | None = None
    has_gpu: bool = False
    accelerator: str | None = None
    moves_anywhere: bool = False
    is_looked_at: bool = False
    scores_test: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Callbacks:
    """What a running trial calls: `stage` where a stage begins, `report` about once a second while it trains.

    `report` tells the trial how to go on. `note` gets what a user should read, such as that a trial starts over.
    """

    stage: Callable[[Stage], None] = lambda stage: None
    report: Callable[[Report], Command] = lambda report: GO_ON
    note: Callable[[str], None] = lambda text: None
