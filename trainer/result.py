"""TrialResult: the outcome of one trial as plain values, saved as JSON; and its loss curve."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import TypeAdapter, ValidationError

from trainer.control import OpenStatus
from trainer.files import read_json, replacing, write_atomically

# `infeasible` is no trial's own: it is given to those that are not trained, as they cannot fit the byte budget.
FinalStatus = Literal["completed", "failed", "diverged", "out_of_memory", "infeasible"]
Status = Literal[FinalStatus, OpenStatus]
FINAL_STATUSES: tuple[str, ...] = get_args(FinalStatus)
OPEN_STATUSES: tuple[str, ...] = get_args(OpenStatus)

NUM_CURVE_POINTS = 100  # evenly over the steps; where a trial is scored on the way, there are more


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a trial's curve. Losses are nats per token; NaN where not measured at this step."""

    step: int
    tokens: int
    train_ce: float
    val_ce: float
    learning_rate: float
    train_seconds: float
    look_ce: float = math.nan  # of the few validation tokens that early stopping looks at


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialResult:
    """The outcome of one trial; fields of a phase that was never reached are None. Units are in the names.

    `ce` and `bpb` are those of the reloaded artifact, `ce_raw` and `bpb_raw` those of the model before
    packing. `tokens_per_s` counts training steps alone: compiling, evaluation and checkpoints have their own seconds.
    """

    status: Status
    error: str | None = None
    ce: float | None = None
    ce_raw: float | None = None
    bpb: float | None = None
    bpb_raw: float | None = None
    ce_sliding: float | None = None
    bpb_sliding: float | None = None
    ce_test: float | None = None
    bpb_test: float | None = None
    test_tokens: int | None = None
    eval_tokens: int | None = None
    eval_bytes: int | None = None
    artifact_bytes: int | None = None
    artifact_sha256: str | None = None
    artifact_codec: str | None = None
    code_bytes: int | None = None
    code_sha256: str | None = None
    total_bytes: int | None = None
    tokenizer_bytes: int | None = None
    num_params: int | None = None
    num_params_learned: int | None = None
    num_params_seeded: int | None = None
    num_params_stored_frozen: int | None = None
    steps: int = 0
    steps_planned: int | None = None
    tokens: int = 0
    train_ce: float | None = None
    tokens_per_s: float | None = None
    train_seconds: float = 0.0
    compile_seconds: float = 0.0
    eval_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    report_seconds: float = 0.0
    pack_seconds: float = 0.0
    total_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    num_resumes: int = 0
    steps_repeated: int = 0
    device: str = ""
    device_name: str = ""
    devices: str = ""
    compiled: bool = False
    data_sha256: str = ""
    torch_version: str = ""
    python_version: str = ""
    frostline_version: str = ""
    host: str = ""
    worker: str = ""
    started_at: str = ""
    finished_at: str = ""

    @property
    def share_done(self) -> float:
        """Of its steps; 0 where it is not known how many it was to have."""
        return min(1.0, self.steps / self.steps_planned) if self.steps_planned else 0.0

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_atomically(path, json.dumps(dataclasses.asdict(self), indent=1).encode())

    @classmethod
    def load(cls, path: Path, statuses: Collection[str] = FINAL_STATUSES + OPEN_STATUSES) -> TrialResult:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged, or has none of these statuses. Fields of another version are left out.
        """
        values = read_json(path, {"status": str})
        known = {field.name for field in dataclasses.fields(cls)}
        if values["status"] not in statuses:
            raise ValueError(f"{path} is damaged: status must be one of {', '.join(statuses)}")
        try:
            result = _validator().validate_python({key: value for key, value in values.items() if key in known})
        except ValidationError as error:
            [first, *_] = error.errors(include_url=False)
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{path} is no trial result: {where}: {first['msg']}") from error
        for name, value in dataclasses.asdict(result).items():
            if isinstance(value, int) and abs(value) >= 2**63:
                raise ValueError(f"{path} is no trial result: {name} is beyond what a table can hold")
            if name.endswith("_at") and value:
                datetime.fromisoformat(value)
        if result.status == "completed" and (result.ce is None or result.artifact_bytes is None):
            raise ValueError(f"{path} is no trial result: it is completed, but has no ce or no artifact_bytes")
        return result


@functools.cache
def _validator() -> TypeAdapter[TrialResult]:
    return TypeAdapter(TrialResult)


def save_curve(path: Path, points: list[CurvePoint]) -> None:
    """Write a trial's curve as Parquet, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"step": pa.int64(), "tokens": pa.int64()}
    fields = [field.name for field in dataclasses.fields(CurvePoint)]
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in fields])
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist([dataclasses.asdict(p) for p in points], schema=schema), temporary)


def read_looks(path: Path) -> dict[int, float]:
    """Of a trial's curve, the loss at each look of early stopping, by step; empty where there is no curve."""
    import pyarrow.parquet as pq

    if not path.exists() or "look_ce" not in (table := pq.read_table(path)).column_names:
        return {}
    points = table.select(["step", "look_ce"]).to_pylist()
    return {point["step"]: point["look_ce"] for point in points if not math.isnan(point["look_ce"])}


def utc_now() -> str:
    """The time in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat()
