"""README.md of a submission: its figures, what they compare with, its data, and how to check all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.submission.handed_in import LIMIT_BYTES, HandedIn
from results.analysis.replicate_groups import Group, Replicate
from results.report.conclusions import claim_lines
from results.report.formatting import confirmed_text, with_interval
from trainer.data.shards import SHARD_NAME

COUNT = """import lzma, pathlib

paths = [pathlib.Path("score.py"), *pathlib.Path("trainer").rglob("*.py")]
files = {path.as_posix(): path.read_bytes() for path in paths}
texts = b"".join(f"{name} {len(files[name])}\\n".encode() + files[name] for name in sorted(files))
print(len(lzma.compress(texts, preset=9 | lzma.PRESET_EXTREME)))"""


def readme(submission: HandedIn) -> str:
    """The page, in Markdown."""
    sections = (_figures, _control, _seeds, _confirmed, _data, _check, _counted, _files)
    return "\n\n".join([f"# {submission.name}", *(block for part in sections for block in part(submission))]) + "\n"


def _figures(submission: HandedIn) -> Iterator[str]:
    row, total = submission.row, submission.total_bytes
    yield submission.as_json()["blurb"]
    size = f"{total:,} of {LIMIT_BYTES:,}: artifact {len(submission.artifact):,}, code {submission.code_bytes:,}"
    trained = f"{row['steps']:,} steps, {row['tokens']:,} tokens, {row['train_seconds']:,.0f} s"
    versions = f"frostline {row['frostline_version']}, torch {row['torch_version']}, Python {row['python_version']}"
    yield _table(
        ("", ""),
        [
            ("cross-entropy", f"{row['ce']!r} nats per token; before packing {_number(row.get('ce_raw'))}"),
            ("bits per byte", f"{row['bpb']!r}"),
            ("bytes", size),
            ("scored on", f"{row['eval_tokens']:,} tokens, {row['eval_bytes']:,} bytes of text"),
            ("device", row["device_name"]),
            ("training", f"seed {row['seed']}, {trained}"),
            ("trial", f"`{row['trial_id']}` of the sweep {row['sweep']}"),
            ("versions", versions),
        ],
    )
    if row.get("suspect"):
        yield f"The node that trained it was suspect ({row['suspect']}): this row takes part in no comparison."
    if row["code_bytes"] != submission.code_bytes:
        yield (
            f"The run counted {row['code_bytes']:,} bytes of code, of the version that trained the model. The code in "
            f"this folder is of another version, and has {submission.code_bytes:,}."
        )


def _control(submission: HandedIn) -> Iterator[str]:
    yield "## Against its control"
    group, groups = submission.group, {one.config_id: one for one in submission.info.groups}
    if group is None:
        yield "No trial of this config takes part in a comparison."
    elif submission.row["recipe"] == "baseline":
        yield "All weights are learned: this config is a control itself."
    elif group.control is None or group.control.ce_pct is None:
        yield "The run has no `baseline` that is equal in all but the recipe: nothing is claimed."
    else:
        control = groups[group.control.config_id]
        yield "The control is the fully learned model that is equal in all else. It was not tuned itself."
        yield _table(
            ("", "CE, mean over seeds ± 95 %", "seeds", "largest artifact, bytes"),
            [(one.label, with_interval(one.ce, 4), one.ce.num, _bytes(one)) for one in (group, control)],
        )
        difference = with_interval(group.control.ce_pct, 2, "+")
        yield f"Difference, paired by seed: {difference} % of the control's CE; negative is better."


def _seeds(submission: HandedIn) -> Iterator[str]:
    yield "## Other seeds of this config"
    group = submission.group
    if group is None or len(group.replicates) < 2:
        yield "None: how much the score depends on the seed is not known."
        return
    here = {submission.row["trial_id"]: " (this one)"}
    yield _table(
        ("seed", "device", "CE", "bpb", "artifact, bytes"),
        [
            (f"{one.seed}{here.get(one.trial_id, '')}", one.accelerator, _number(one.ce), _number(one.bpb), _bytes(one))
            for one in group.replicates
        ],
    )
    yield f"Mean {with_interval(group.ce, 4)} nats per token (95 % interval)."


def _confirmed(submission: HandedIn) -> Iterator[str]:
    yield "## Confirmed?"
    group = submission.group
    if group is None or group.confirmed is None:
        yield "No. Where a config is the best of many by the score above, that score is too good by chance."
        return
    yield f"Yes: CE {confirmed_text(group)}."
    if submission.row.get("ce_test") is not None:
        yield f"This trial: `ce_test` {submission.row['ce_test']!r}, which `score.py --test` gives again."
    yield from (f"- {line}" for line in claim_lines(submission.info, group.config_id))


def _data(submission: HandedIn) -> Iterator[str]:
    dataset = submission.dataset
    yield "## Data"
    yield (
        f"Dataset `{dataset.name}`, vocabulary {dataset.vocab_size:,}, fingerprint `{dataset.sha256}`, which is in the "
        "artifact. `data.sha256` lists every shard. Scoring reads the validation shards alone:"
    )
    shards = ((SHARD_NAME.fullmatch(name), sha256) for name, sha256 in dataset.sums)
    yield _table(("file", "SHA-256"), [(m[0], sha256) for m, sha256 in shards if m and m["split"] == "val"])


def _check(submission: HandedIn) -> Iterator[str]:
    yield "## How to check it"
    yield "In a new environment, from any folder; `DIR` is the folder with the validation shards:"
    yield (
        "```console\n$ (cd FOLDER && sha256sum --check SHA256SUMS)\n$ pip install -r FOLDER/requirements.txt\n"
        "$ python FOLDER/score.py --data DIR\n```"
    )
    row, num_threads = submission.row, submission.config.num_threads
    yield (
        f"It prints `ce {row['ce']!r}`, to the last digit, on the same kind of processor with torch "
        f"{row['torch_version']}; it uses as many threads as the trial did ({num_threads}). Another processor, card or "
        "torch may round otherwise: the script says by how much, and ends with exit code 1 where it is more than a "
        "ten-thousandth. What is missing, damaged or other data is named, with exit code 2."
    )


def _counted(submission: HandedIn) -> Iterator[str]:
    yield "## What is counted"
    unpacked = sum(path.stat().st_size for path in submission.code.values())
    yield (
        f"`score.py` and all of `trainer/`, every file that scoring loads with its comments: {submission.code_bytes:,} "
        f"bytes by LZMA, as the competition lets code be packed; {unpacked:,} as they lie here. Not counted: the "
        "tokenizer, and the packages of `requirements.txt`. The code that trains is not in this folder: `frostline "
        "train config.yaml` trains the model again. To count the code, in this folder:"
    )
    yield f"```python\n{COUNT}\n```"


def _files(submission: HandedIn) -> Iterator[str]:
    yield "## Files"
    codec, sha256 = submission.row["artifact_codec"], submission.row["artifact_sha256"]
    rows = [
        ("`artifact.frost`", f"the model, compressed by {codec}; SHA-256 `{sha256}`"),
        ("`tokenizer.model`", "sentencepiece; says how many bytes of text a token stands for"),
        ("`config.yaml`", "every setting of the trial"),
        ("`score.py`, `trainer/`", "the code that is counted; MIT License, see `LICENSE`"),
        ("`requirements.txt`", "what that code imports"),
        ("`submission.json`", "the figures, and who hands in"),
        ("`data.sha256`", "of the data"),
        ("`SHA256SUMS`", "of all files here but `README.md` and `submission.json`, which are filled in by hand"),
        *([("`train.log`", "of the training")] if submission.log is not None else []),
    ]
    yield _table(("file", ""), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def _bytes(one: Group | Replicate) -> str:
    return "–" if one.artifact_bytes is None else f"{one.artifact_bytes:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}"
