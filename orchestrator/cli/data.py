"""`frostline data`: prepare text, download FineWeb, check and list datasets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer(no_args_is_help=True, help="prepare, fetch, check and list datasets")


def register(app: typer.Typer) -> None:
    """Add `data` and its commands to the command line."""
    app.add_typer(commands, name="data")


Root = Annotated[Path, typer.Option("--root", "--data-root", help="data folder: manifest, datasets, tokenizers")]


@commands.command(
    epilog="Examples:\n\n- `frostline data prepare stdlib`\n\n"
    "- `frostline data prepare books --text corpus/ --text more.jsonl.zst --vocab 4096`"
)
def prepare(
    name: Annotated[str, typer.Argument(help="name of the dataset, or stdlib for the built-in corpus")],
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="file or folder: .txt, .rst, .py (a file is a document), .jsonl[.gz|.zst], .parquet; repeatable"
        ),
    ] = None,
    vocab: Annotated[int, typer.Option(help="tokens in the vocabulary, 261 to 65536")] = 1024,
    root: Root = Path("data"),
    text_column: Annotated[str, typer.Option(help="key or column of JSON lines and Parquet that holds text")] = "text",
    val_fraction: Annotated[
        float, typer.Option(help="share of the documents that validate, chosen by a hash of their content")
    ] = 0.01,
    val_files: Annotated[
        list[Path] | None,
        typer.Option(help="files or folders that validate, instead of a share; all else trains; repeatable"),
    ] = None,
    shard_tokens: Annotated[int, typer.Option(help="tokens of one shard; one shard is held in memory")] = 100_000_000,
    workers: Annotated[int | None, typer.Option(min=1, help="threads that encode; all cores if not given")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a dataset of this name made otherwise")] = False,
) -> None:
    """Make a dataset from text: train a tokenizer, split by document, write shards.

    The same command goes on where it was interrupted, and starts nothing once the dataset is finished.
    """
    from trainer.corpus.prepare import prepare
    from trainer.corpus.prepare_request import PrepareRequest

    with _data_errors():
        request = PrepareRequest(
            name=name,
            text=tuple(text or ()),
            vocab_size=vocab,
            text_column=text_column,
            val_fraction=val_fraction,
            val_files=tuple(val_files or ()),
            shard_tokens=shard_tokens,
        )
        prepared = prepare(request, root, num_workers=workers, force=force, say=_note)
        dataset = prepared.dataset
        state = "prepared" if prepared.fresh else "nothing to do"
        typer.echo(
            f"{name}: {state}: {dataset.train.num_tokens:,} training and {dataset.val.num_tokens:,} validation tokens, "
            f"vocabulary {dataset.vocab_size:,}, in {root / 'datasets' / name}"
        )


@commands.command(epilog="Examples:\n\n- `frostline data fetch sp1024 --train-shards 10`")
def fetch(
    variant: Annotated[str, typer.Argument(help="tokenizer of FineWeb: sp1024, sp4096 or sp8192")],
    train_shards: Annotated[int, typer.Option(help="how many training shards, of 100 M tokens (200 MB) each")],
    repo: Annotated[
        str | None, typer.Option(help="dataset repository on the hub; the variant's usual one if not given")
    ] = None,
    prefix: Annotated[str, typer.Option(help="folder of the repository that holds manifest.json")] = "datasets",
    root: Root = Path("data"),
) -> None:
    """Get prepared FineWeb from the Hugging Face hub (or the server HF_ENDPOINT names), every file checked.

    The same command goes on where it was interrupted: files that are there and whole are kept.
    """
    from trainer.corpus.download import FetchRequest, fetch

    with _data_errors():
        request = FetchRequest(variant=variant, num_train_shards=train_shards, repo=repo, prefix=prefix)
        fetched = fetch(request, root, say=_note)
        dataset = fetched.dataset
        state = f"got {fetched.num_downloaded} shards" if fetched.num_downloaded else "nothing to do"
        typer.echo(
            f"{dataset.name}: {state}: {dataset.train.num_tokens:,} training and {dataset.val.num_tokens:,} validation "
            f"tokens, vocabulary {dataset.vocab_size:,}, in {root / 'datasets' / dataset.name}"
        )


@commands.command(epilog="Examples:\n\n- `frostline data check stdlib`")
def check(
    name: Annotated[str, typer.Argument(help="name of the dataset")],
    root: Root = Path("data"),
) -> None:
    """Read every byte of a dataset, and say of each shard whether it is whole. Exit code 2 if any is not."""
    from trainer.data.dataset import check_shards, open_dataset
    from trainer.errors import DataError

    with _data_errors():
        rows = check_shards(name, root)
        for path, num_tokens, problem in rows:
            typer.echo(f"{path.name}  {'?' if num_tokens is None else f'{num_tokens:,}':>15} tokens  {problem or 'ok'}")
        if num_broken := sum(problem is not None for _, _, problem in rows):
            raise DataError(f"{num_broken} of {len(rows)} shards of {name} are not usable")
        typer.echo(f"{name}: ok, {len(rows)} shards, content {open_dataset(name, root).sha256[:12]}")


@commands.command(epilog="Examples:\n\n- `frostline data ls --root data`")
def ls(root: Root = Path("data")) -> None:
    """List the datasets of a data folder, by the headers of their shards."""
    from trainer.data.dataset import dataset_names, token_counts
    from trainer.data.manifest import MANIFEST, entry_named, load_manifest
    from trainer.errors import DataError

    with _data_errors():
        names = dataset_names(root)
        if not names:
            _note(f"{root}: holds no datasets yet; try `frostline data prepare stdlib`")
            return
        manifest = load_manifest(root / MANIFEST)
        width = max(len(name) for name in names)
        typer.echo(
            f"{'dataset':<{max(width, 7)}}  {'vocabulary':>10}  {'train tokens':>15}  {'val tokens':>13}  shards"
        )
        for name in names:
            entry = entry_named(manifest, "datasets", name) or {}
            try:
                counts = token_counts(name, root)
            except DataError as error:
                typer.echo(f"{name:<{max(width, 7)}}  {error}")
                continue
            train, val = counts["train"], counts["val"]
            typer.echo(
                f"{name:<{max(width, 7)}}  {entry.get('vocab_size', '?'):>10}  {sum(train):>15,}  {sum(val):>13,}  "
                f"{len(train)}+{len(val)}"
            )


def _note(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _data_errors() -> Iterator[None]:
    """Bad data, bad values and a full disk are one message and exit code 2; anything else is our mistake."""
    from trainer.errors import DataError

    try:
        yield
    except (DataError, OSError) as error:
        _note(f"error: {error}")
        raise typer.Exit(2) from error
