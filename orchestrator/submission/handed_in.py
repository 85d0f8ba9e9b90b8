"""What is handed in, as values: the row, its artifact, data and code, and what the run says of its config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.analysis.pareto_info import ParetoInfo
from results.analysis.replicate_groups import Group, Row
from trainer.config.trial import TrialConfig
from trainer.data.dataset import Dataset

LIMIT_BYTES = 16_000_000  # of artifact and code, in the competition


@dataclasses.dataclass(frozen=True, kw_only=True)
class Author:
    """Who hands in, and under which name; the folder is the same without."""

    author: str = ""
    github_id: str = ""
    name: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandedIn:
    """All that the folder of a submission is made from. Everything is checked before the folder is begun.

    Args:
        row: of the table of trials.
        code: the files that are counted, by their path in the folder.
        code_bytes: of the code, counted now; the row has what was counted when the trial ended.
        group: the config of the trial, None where no trial of it counts.
        log: of the trial, where there is one.
    """

    row: Row
    config: TrialConfig
    artifact: bytes
    log: bytes | None
    dataset: Dataset
    code: Mapping[str, Path]
    code_bytes: int
    group: Group | None
    info: ParetoInfo
    author: Author

    @property
    def name(self) -> str:
        """The title: as the author says, or what the config is called among those of its run."""
        return self.author.name or (self.group.label if self.group else str(self.row["trial_id"]))

    @property
    def total_bytes(self) -> int:
        return len(self.artifact) + self.code_bytes

    def as_json(self) -> dict[str, Any]:
        """`submission.json`: the keys of parameter-golf's records, and where and from which trial the figures are."""
        row = self.row
        return {
            "author": self.author.author,
            "github_id": self.author.github_id,
            "name": self.name,
            "blurb": self._blurb(),
            "date": str(row["finished_at"].strftime("%Y-%m-%dT%H:%M:%SZ")),
            "val_loss": row["ce"],
            "val_bpb": row["bpb"],
            "bytes_total": self.total_bytes,
            "bytes_code": self.code_bytes,
            "trial_id": row["trial_id"],
            "seed": row["seed"],
            "device": row["device"],
            "device_name": row["device_name"],
        }

    def _blurb(self) -> str:
        row, model = self.row, self.config.model
        layers = "1 layer" if model.num_layers == 1 else f"{model.num_layers} layers"
        return (
            f"{row['recipe']}, {layers} of width {model.dim}, {row['num_params']:,} weights of which "
            f"{row['num_params_seeded']:,} are made again from seeds; {row['steps']:,} steps on {row['data']}. "
            "Scored from the packed file alone."
        )
