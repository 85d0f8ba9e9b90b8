"""The columns of the tables: name, type, unit, meaning, and the schema version each came with.

`python -m results.tables.schema > results/SCHEMA.md` writes the page that documents them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from results.tables.account import ATTEMPTS, NODES
from results.tables.columns import (
    BOOL,
    FLOAT,
    INT,
    SCHEMA_VERSION,
    STRING,
    TIME,
    WORD,
    Column,
    schema_of,
    table_of,
)
from results.tables.config_columns import CONFIGS
from results.tables.sentinels import SENTINELS

STATUSES: tuple[str, ...] = (
    "completed",
    "stopped_early",
    "infeasible",
    "diverged",
    "out_of_memory",
    "failed",
    "deadline",
)

# The recipe that freezes nothing: what the others are compared with.
CONTROL_RECIPE = "baseline"
# Sections of a config that only some recipes read: a control is equal but for these.
RECIPE_SECTIONS: tuple[str, ...] = ("freeze", "adapter", "progressive", "low_rank", "distill", "ensemble")

# Leaves of a config that are columns under their own name, so they get no `cfg_` column.
_IDENTITY_LEAVES = frozenset({"recipe", "data", "seed"})


_IDENTITY = (
    Column("sweep", WORD, "", "name of the sweep"),
    Column("trial_id", STRING, "", "readable and unique within a sweep; also the name of the trial's folder"),
    Column("config_id", STRING, "", "shared by all replicates: trials alike but for `seed`"),
    Column("seed", INT, "", "of initial weights, batches and dropout"),
    Column("recipe", WORD, "", "the variant that was trained"),
    Column("data", WORD, "", "name of the prepared dataset"),
    Column("data_sha256", WORD, "", "fingerprint of the dataset's shards and tokenizer"),
    Column("stage", WORD, "", "search, or confirm: a fresh seed of a config that is to be confirmed; null = search", 5),
    Column("confirm_against", STRING, "", "confirm only: config_id of the one it is compared with, of equal bytes", 5),
    Column("status", WORD, "", f"what became of the trial: {', '.join(STATUSES)}"),
    Column("error", STRING, "", "why a trial ended without completing, or was not trained"),
    Column("suspect", STRING, "", "why it takes part in no comparison, by sentinels of its node; null = it does", 7),
    Column("feasible", BOOL, "", "whether the sweep's constraints hold; null if unknown, as without an artifact"),
)

_WHERE = (
    Column("accelerator", WORD, "", "kind of device it ran on, by Ray's name: H100, A40, CPU, …"),
    Column("accelerator_wanted", WORD, "", "kind its config asked for; `any` leaves the choice to placement"),
    Column("node", WORD, "", "the cluster's id of the node it ran on"),
    Column("host", WORD, "", "host name of that node"),
    Column("worker", WORD, "", "id of the process that trained it"),
    Column("device", WORD, "", "torch device: cpu, cuda"),
    Column("device_name", WORD, "", "what the device calls itself"),
    Column("devices", STRING, "", "every device its steps were done on, with the host, in order", 3),
    Column("num_gpus", FLOAT, "GPUs", "share of GPUs it was given; 0 on a CPU"),
    Column("compiled", BOOL, "", "whether the blocks ran compiled"),
    Column("torch_version", WORD, "", "version of torch it ran with"),
    Column("python_version", WORD, "", "version of Python it ran with", 5),
    Column("frostline_version", WORD, "", "version of frostline it ran with", 5),
)

_RESULT = (
    Column("ce", FLOAT, "nats/token", "cross-entropy of the reloaded artifact on the fixed validation tokens"),
    Column("ce_raw", FLOAT, "nats/token", "the same of the model before packing"),
    Column("bpb", FLOAT, "bits/byte", "bits per byte of text of the reloaded artifact, by the competition's byte rule"),
    Column("bpb_raw", FLOAT, "bits/byte", "the same of the model before packing"),
    Column("ce_sliding", FLOAT, "nats/token", "like ce, with a window that slides by cfg_eval_stride", 2),
    Column("bpb_sliding", FLOAT, "bits/byte", "like bpb, with that window", 2),
    Column("ce_test", FLOAT, "nats/token", "like ce, on the second part of the validation text; confirmation only", 5),
    Column("bpb_test", FLOAT, "bits/byte", "like bpb, on that part", 5),
    Column("test_tokens", INT, "tokens", "tokens of that part that were scored", 5),
    Column("eval_tokens", INT, "tokens", "validation tokens that were scored"),
    Column("eval_bytes", INT, "bytes", "bytes of text that these tokens stand for"),
    Column("artifact_bytes", INT, "bytes", "size of the artifact file that was reloaded and scored"),
    Column("artifact_sha256", STRING, "", "SHA-256 of that file"),
    Column("artifact_codec", WORD, "", "compressor of that file"),
    Column(
        "code_bytes",
        INT,
        "bytes",
        "the code that scores an artifact, packed (trainer/artifact/code_size.py: the rule)",
        2,
    ),
    Column("total_bytes", INT, "bytes", "artifact_bytes + code_bytes", 2),
    Column("code_sha256", STRING, "", "of the counted code: paths and texts, before compression", 8),
    Column("tokenizer_bytes", INT, "bytes", "size of the tokenizer file, which is counted in none of these", 2),
    Column("num_params", INT, "parameters", "all parameters of the model, learned and frozen"),
    Column("num_params_learned", INT, "parameters", "trained to the end"),
    Column("num_params_seeded", INT, "parameters", "frozen, regenerated from a seed, free of bytes"),
    Column("num_params_stored_frozen", INT, "parameters", "frozen at trained values, which cost their bytes"),
    Column("steps", INT, "optimizer steps", "done, each counted once"),
    Column("steps_planned", INT, "optimizer steps", "of the whole trial, all its phases", 4),
    Column("tokens", INT, "tokens", "training tokens seen"),
    Column("train_ce", FLOAT, "nats/token", "training loss at the last report"),
    Column(
        "tokens_per_s",
        FLOAT,
        "tokens/s",
        "over training steps alone; compare within one `accelerator`, without neighbours",
    ),
    Column("train_seconds", FLOAT, "s", "in training steps"),
    Column("compile_seconds", FLOAT, "s", "in compiling and warming up"),
    Column("eval_seconds", FLOAT, "s", "in scoring"),
    Column("checkpoint_seconds", FLOAT, "s", "in writing checkpoints"),
    Column("report_seconds", FLOAT, "s", "in reporting to the driver", 2),
    Column("pack_seconds", FLOAT, "s", "in packing the artifact"),
    Column("total_seconds", FLOAT, "s", "of all attempts, each up to its last report before a death"),
    Column("peak_memory_bytes", INT, "bytes", "largest memory in use on the device (of the process on a CPU)"),
    Column("num_resumes", INT, "", "times it was started again after a death or an interrupt"),
    Column("steps_repeated", INT, "optimizer steps", "done again after resumes"),
    Column("num_attempts", INT, "", "times it was given a device, in all calls", 6),
    Column(
        "num_neighbours",
        INT,
        "trials",
        "most others at once on its device: GPU, or machine for a CPU; null if unknown",
        7,
    ),
    Column("device_seconds", FLOAT, "s", "devices that it held, times how long: half a GPU for an hour is 1800", 6),
    Column("usd", FLOAT, "US dollars", "price of these; null where a machine has no price. See the table nodes", 6),
    Column("started_at", TIME, "UTC", "first start"),
    Column("finished_at", TIME, "UTC", "end, whatever the status"),
)


# What early stopping decided of a trial; null where it decided nothing.
_STOPPING = (
    Column("stop_step", INT, "optimizer steps", "of the look after which it was to be stopped", 4),
    Column("stop_predicted", FLOAT, "", "the score it was expected to end with, in ce or bpb as the objective is", 4),
    Column("stop_best_case", FLOAT, "", "the score that it would hardly be better than, by early_stopping.risk", 4),
    Column("stop_band", WORD, "", "how that was found: conformal, or student where few trials had ended", 4),
    Column("stop_dominated_by", STRING, "", "the trial that is better than its best case, with no more bytes", 4),
    Column("stop_audited", BOOL, "", "it ran on all the same, to check the rule", 4),
)


def _config(key: str, type_: pa.DataType, unit: str, meaning: str, since: int = 1) -> Column:
    return Column("cfg_" + key.replace(".", "_"), type_, unit, f"`{key}`: {meaning}", since)


_CONFIG = (
    _config("device", WORD, "", "auto, cpu or cuda, as asked"),
    _config("num_threads", INT, "threads", "CPU threads; part of the bits on a CPU"),
    _config("model.family", WORD, "", "study or competition; fills the settings that were not given"),
    _config("model.vocab_size", INT, "tokens", "tokens in the vocabulary"),
    _config("model.num_layers", INT, "", "transformer blocks"),
    _config("model.dim", INT, "", "width of the residual stream"),
    _config("model.num_heads", INT, "", "query heads"),
    _config("model.num_kv_heads", INT, "", "key/value heads; null = num_heads"),
    _config("model.mlp", WORD, "", "geglu (gate, up, down), gelu or relu2 (fc, proj)"),
    _config("model.mlp_ratio", FLOAT, "", "hidden width of the MLP over dim"),
    _config("model.dropout", FLOAT, "", "on the MLP's hidden units, while training"),
    _config("model.rope_dims", INT, "", "dimensions of a head that are rotated; null = all"),
    _config("model.norm_gain", BOOL, "", "RMSNorm has a learned gain"),
    _config("model.qk_norm", BOOL, "", "queries and keys are normed"),
    _config("model.logit_softcap", FLOAT, "", "logits become c*tanh(logits/c); null = off"),
    _config("model.unet_skips", BOOL, "", "second half of the layers adds the first half's outputs"),
    _config("model.input_mix", BOOL, "", "each block mixes the stream with the normed embedding"),
    _config("model.branch_scale", BOOL, "", "learned gain per channel on each branch's output"),
    _config("model.zero_init_projections", BOOL, "", "o and down/proj start at zero"),
    _config("model.embedding_std", FLOAT, "", "standard deviation of the embedding at start"),
    _config("model.linear_std", FLOAT, "", "of the matrices; null = uniform with bound 1/sqrt(fan_in)"),
    _config("freeze.matrices", WORD, "", "frozen matrices of a block, joined by commas; null = recipe freezes none"),
    _config("freeze.layers", WORD, "", "frozen layers: all, or layers and ranges counted from 0"),
    _config("freeze.scheme", WORD, "", "distribution of the frozen values"),
    _config("freeze.seed", INT, "", "seed of the maps; null = the trial's seed"),
    _config("adapter.kind", WORD, "", "vera or lora: the correction beside a frozen matrix", 2),
    _config("adapter.rank", INT, "", "rank of that correction", 2),
    _config("adapter.channel_gain", BOOL, "", "a trained gain per output channel as well", 2),
    _config("progressive.freeze_at", FLOAT, "", "share of the steps before the freeze", 2),
    _config("progressive.distill_at", FLOAT, "", "progressive_distill only: share before self-distillation", 2),
    _config("progressive.restart", BOOL, "", "a new optimizer and schedule after the freeze", 2),
    _config("progressive.learning_rate_ratio", FLOAT, "", "peak after the freeze over the peak before", 2),
    _config("low_rank.rank", INT, "", "width of the trained branch beside the frozen MLP", 2),
    _config("low_rank.activation", WORD, "", "between the branch's two matrices: gelu or none", 2),
    _config("distill.temperature", FLOAT, "", "of both softmaxes", 2),
    _config("distill.alpha", FLOAT, "", "weight of the teacher's term", 2),
    _config("distill.teacher_layers", INT, "", "distill only: transformer blocks of the teacher", 2),
    _config("distill.teacher_dim", INT, "", "distill only: width of the teacher", 2),
    _config("distill.teacher_heads", INT, "", "distill only: query heads of the teacher", 2),
    _config("distill.teacher_steps", INT, "optimizer steps", "distill only: of the teacher; null = train.steps", 2),
    _config("ensemble.members", WORD, "", "learned or frozen, one word per model, joined by commas", 2),
    _config("optimizer.name", WORD, "", "adamw or muon"),
    _config("optimizer.learning_rate", FLOAT, "", "peak; of the block matrices under muon"),
    _config("optimizer.weight_decay", FLOAT, "", "decoupled; under muon on the block matrices only"),
    _config("optimizer.beta1", FLOAT, "", "of Adam's first moment"),
    _config("optimizer.beta2", FLOAT, "", "of Adam's second moment"),
    _config("optimizer.epsilon", FLOAT, "", "of Adam"),
    _config("optimizer.embedding_learning_rate", FLOAT, "", "muon only: of the tied embedding"),
    _config("optimizer.vector_learning_rate", FLOAT, "", "muon only: of gains and other vectors"),
    _config("optimizer.momentum", FLOAT, "", "muon only"),
    _config("optimizer.momentum_start", FLOAT, "", "muon only: momentum at step 0"),
    _config("optimizer.momentum_warmup_steps", INT, "optimizer steps", "muon only: from start to momentum"),
    _config("schedule.name", WORD, "", "cosine, warmdown or constant"),
    _config("schedule.warmup_steps", INT, "optimizer steps", "linear from 0 to the peak"),
    _config("schedule.warmdown_steps", INT, "optimizer steps", "warmdown only: linear to the end"),
    _config("schedule.final_ratio", FLOAT, "", "learning rate at the end over the peak"),
    _config("train.steps", INT, "optimizer steps", "length of training"),
    _config("train.sequence_tokens", INT, "tokens", "tokens of one training row"),
    _config("train.batch_sequences", INT, "rows", "rows of one optimizer step"),
    _config("train.micro_batches", INT, "", "parts a step is computed in"),
    _config("train.clip_norm", FLOAT, "", "largest gradient norm; 0 = no clipping"),
    _config("train.precision", WORD, "", "of the matrix products: fp32 or bf16"),
    _config("train.compile", BOOL, "", "compile the blocks; null = on CUDA only"),
    _config("train.eval_every_steps", INT, "optimizer steps", "score while training; 0 = at the end only"),
    _config("train.checkpoint_every_seconds", FLOAT, "s", "0 = after every step"),
    _config("eval.tokens", INT, "tokens", "first tokens of the validation set; null = all"),
    _config("eval.batch_sequences", INT, "rows", "rows scored at once"),
    _config("eval.stride", INT, "tokens", "step of the sliding window that is scored as well; null = none"),
    _config("artifact.matrix_bits", INT, "bits", "width of the block matrices"),
    _config("artifact.embedding_bits", INT, "bits", "width of the tied embedding; 16 = fp16"),
    _config("artifact.bits_by_pattern", WORD, "", "other widths by name of the stored weight, comma-joined", 2),
    _config("artifact.group_size", INT, "columns", "columns a scale; null = the whole row", 2),
    _config("artifact.clip_std", FLOAT, "", "largest code in standard deviations of the row; null = no clipping", 2),
    _config("artifact.clip_percentile", FLOAT, "%", "largest code as a percentile of the row's magnitudes", 2),
    _config("artifact.codec", WORD, "", "compressor as asked; auto keeps the smallest"),
)

TRIALS: tuple[Column, ...] = _IDENTITY + _WHERE + _RESULT + _STOPPING + _CONFIG

CURVES: tuple[Column, ...] = (
    Column("sweep", WORD, "", "name of the sweep"),
    Column("trial_id", WORD, "", "the trial, as in the table of trials"),
    Column("seed", INT, "", "the trial's seed"),
    Column("step", INT, "optimizer steps", "done when the point was taken"),
    Column("tokens", INT, "tokens", "training tokens seen by then"),
    Column("train_ce", FLOAT, "nats/token", "training loss; NaN where not measured at this step"),
    Column("val_ce", FLOAT, "nats/token", "validation loss before packing; NaN where not measured at this step"),
    Column("learning_rate", FLOAT, "", "of this step"),
    Column("train_seconds", FLOAT, "s", "in training steps by then"),
    Column("look_ce", FLOAT, "nats/token", "loss on the few validation tokens of early stopping; NaN elsewhere", 4),
)


def trials_schema() -> pa.Schema:
    """Schema of the table of trials, one row per trial whatever became of it."""
    return schema_of(TRIALS)


def curves_schema() -> pa.Schema:
    """Schema of the table of curves, one row per reported step of a trial."""
    return schema_of(CURVES)


def trials_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows by column name → a table in `trials_schema()`.

    A missing key, None or an empty string is null; times are ISO strings or datetimes (without zone: UTC).
    """
    return table_of(rows, TRIALS)


def curves_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows by column name → a table in `curves_schema()`; missing keys are null."""
    return table_of(rows, CURVES)


def flatten_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's config as nested plain values → its `cfg_*` columns; lists become comma-joined strings."""
    return {f"cfg_{name}": value for name, value in _leaves(config) if name not in _IDENTITY_LEAVES}


def render_markdown() -> str:
    """The text of SCHEMA.md."""
    return "\n".join(
        [
            "# The tables",
            "",
            "<!-- Generated: make docs -->",
            "",
            f"Schema version {SCHEMA_VERSION}, kept in each Parquet file's metadata as `schema_version`. Files of",
            "older versions stay readable: columns they lack are null. `pd.read_parquet` on a table's folder gives",
            "these types; `category` is a string that repeats. `since` is the schema version a column came with.",
            "Meaning and unit are also in each file: `pyarrow.parquet.read_schema(file).field(column).metadata`.",
            "",
            *_markdown_section("trials", "one row per trial, whatever became of it", TRIALS),
            *_markdown_section("curves", "one row per reported step of a trial", CURVES),
            *_markdown_section("attempts", "one row for each time that a trial was on a device", ATTEMPTS),
            *_markdown_section("nodes", "one row per machine of the cluster, used or not", NODES),
            *_markdown_section("sentinels", "one row for each control trained to check a node", SENTINELS),
            *_markdown_section("configs", "one row per config with a score, best first", CONFIGS, "configs.parquet"),
        ]
    )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}_")
        elif prefix or key not in RECIPE_SECTIONS:
            yield f"{prefix}{key}", ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _markdown_section(table: str, rows: str, columns: tuple[Column, ...], files: str = "") -> list[str]:
    head = [f"## {table}", "", f"`tables/{files or f'{table}/*.parquet'}`: {rows}.", ""]
    lines = ["| column | type | unit | meaning | since |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| `{c.name}` | {_type_name(c.type)} | {c.unit} | {c.meaning} | {c.since} |" for c in columns]
    return [*head, *lines, ""]


def _type_name(type_: pa.DataType) -> str:
    return "category" if type_ == WORD else str(type_)


if __name__ == "__main__":
    print(render_markdown(), end="")
