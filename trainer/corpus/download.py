"""Download prepared FineWeb from the Hugging Face hub, with every file checked."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import huggingface_hub
from huggingface_hub import constants, errors
from tqdm.std import tqdm  # type: ignore[import-untyped]

from trainer.data import scan_cache
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.manifest import (
    MANIFEST,
    Entry,
    empty_manifest,
    entry_named,
    exclusive,
    load_manifest,
    merge_into_manifest,
    path_below,
)
from trainer.data.progress_meter import Advance, human_bytes, meter
from trainer.data.shard_files import shard_name
from trainer.data.shards import HEADER_BYTES, SPLITS, TOKEN_BYTES, Split, read_header
from trainer.data.tokenizer import load_tokenizer
from trainer.errors import DataError

# The official repository holds sp1024 alone; the others are those that leading entries of the competition used.
REPOS = {
    "sp1024": "willdepueoai/parameter-golf",
    "sp4096": "kevclark/parameter-golf",
    "sp8192": "kevclark/parameter-golf",
}
PREFIX = "datasets"
SHARD_TOKENS = 100_000_000  # of FineWeb, where the manifest does not say
SECONDS_TO_ANSWER = 10.0

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """FineWeb with one of the tokenizers: all of its validation set and the first training shards."""

    variant: str
    num_train_shards: int
    repo: str | None = None  # None: the usual one of the variant
    prefix: str = PREFIX  # folder of the repository that holds `manifest.json`
    endpoint: str | None = None  # None: `HF_ENDPOINT`, or the hub itself

    @property
    def name(self) -> str:
        return f"fineweb10B_{self.variant}"

    def check(self) -> None:
        """Raises DataError if any value is out of range."""
        if self.variant not in REPOS:
            raise DataError(f"the variant must be one of {', '.join(REPOS)}, but got {self.variant!r}")
        if self.num_train_shards < 1:
            raise DataError(f"--train-shards must be at least 1, but got {self.num_train_shards}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fetched:
    dataset: Dataset
    num_downloaded: int  # shards; 0: all were there


def fetch(request: FetchRequest, root: Path, *, say: Say = lambda _: None) -> Fetched:
    """Download what is missing of a dataset into the data folder `root`, and check all of it.

    Files that are there and whole are kept, so the same call goes on after any interruption, shard by shard.

    Raises:
        DataError: if the hub cannot be reached, lacks a file, or keeps sending damaged ones; or if the disk is full.
    """
    request.check()
    folder = root / "datasets" / request.name
    busy = f"another process is fetching {request.name} to {root}; wait for it"
    with exclusive(folder.with_name(f".{request.name}.lock"), busy=busy):
        if _is_complete(request, root):
            return Fetched(dataset=open_dataset(request.name, root), num_downloaded=0)
        hub = _Hub(request, root / f".fetch-{request.name}")
        dataset, tokenizer, defaults = _described(hub, root)
        _fetch_tokenizer(hub, root, tokenizer)
        # Without `files` for now: the folder may be opened while shards are still arriving.
        merge_into_manifest(root, dataset=dataset, tokenizer=tokenizer, defaults=defaults)
        num_downloaded = _fetch_shards(hub, folder, dataset, say)
        merge_into_manifest(root, dataset=_with_files(dataset, folder), tokenizer=tokenizer)
        shutil.rmtree(hub.staging, ignore_errors=True)
    return Fetched(dataset=open_dataset(request.name, root), num_downloaded=num_downloaded)


def _is_complete(request: FetchRequest, root: Path) -> bool:
    """Whether an earlier fetch finished with at least as many shards, all of them still whole."""
    entry = entry_named(load_manifest(root / MANIFEST), "datasets", request.name) or {}
    names = entry.get("files", {})
    if sum("_train_" in name for name in names) < request.num_train_shards:
        return False
    tokenizer = entry_named(load_manifest(root / MANIFEST), "tokenizers", entry.get("tokenizer_name")) or {}
    paths = [root / "datasets" / request.name / name for name in names]
    return all(_is_whole(path) for path in paths) and _loads(root / str(tokenizer.get("model_path")))


def _is_whole(path: Path) -> bool:
    try:
        read_header(path)
    except DataError:
        return False
    return True


def _loads(model: Path) -> bool:
    try:
        load_tokenizer(model)
    except DataError:
        return False
    return True


class _Hub:
    """One folder of one dataset repository; files land in `staging` first."""

    def __init__(self, request: FetchRequest, staging: Path) -> None:
        self.request = request
        self.repo = request.repo or REPOS[request.variant]
        self.endpoint = (request.endpoint or constants.ENDPOINT).rstrip("/")
        self.staging = staging
        # What a killed download left: this library never goes on with it.
        for stray in staging.rglob("*.incomplete"):
            stray.unlink()

    def has(self, path: str) -> bool:
        """Whether the repository holds a file; asked once, without the library's half minute of retries.

        Raises:
            DataError: if the hub cannot be reached or refuses.
        """
        url = huggingface_hub.hf_hub_url(self.repo, self._remote(path), repo_type="dataset", endpoint=self.endpoint)
        try:
            huggingface_hub.get_hf_file_metadata(url, timeout=SECONDS_TO_ANSWER, endpoint=self.endpoint)
        except errors.EntryNotFoundError:
            return False
        except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]  # httpx's, whichever it uses
            self._fail(path, error)
        return True

    def download(self, path: str, advance: Advance = lambda _: None) -> Path:
        """The local copy of a file, of the size the server tells; what is in it is unchecked. Raises DataError."""
        try:
            local = huggingface_hub.hf_hub_download(
                self.repo,
                self._remote(path),
                repo_type="dataset",
                endpoint=self.endpoint,
                local_dir=self.staging,
                tqdm_class=_silent_bar(advance),
            )
        except errors.LocalEntryNotFoundError as error:  # the library's word for a hub that does not answer
            self._fail(path, error.__cause__ or error)
        except errors.EntryNotFoundError as error:
            raise DataError(f"{self.repo} at {self.endpoint} has no file {self._remote(path)}") from error
        except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
            self._fail(path, error)
        return Path(local)

    def _remote(self, path: str) -> str:
        return str(PurePosixPath(self.request.prefix) / path)

    def _fail(self, path: str, error: BaseException) -> NoReturn:
        where = f"{self._remote(path)} of {self.repo} at {self.endpoint}"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, errors.RepositoryNotFoundError):
            advice = "the repository does not exist, or needs a token (HF_TOKEN); check --repo"
        elif isinstance(error, errors.HfHubHTTPError):
            advice = "the hub refused; check --repo and --prefix, or try later"
        else:
            advice = (
                "the hub cannot be reached: check the network, proxy and HF_ENDPOINT, then run the same command "
                "again (what has arrived is kept); or copy the files from elsewhere to the data folder"
            )
        raise DataError(f"cannot get {where}: {reason}; {advice}") from error


def _silent_bar(advance: Advance) -> type[Any]:
    """A bar for the library that draws nothing and passes its counts on."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            advance(int(n or 0))

    return Bar


def _described(hub: _Hub, root: Path) -> tuple[Entry, Entry, Entry]:
    """Entries of dataset and tokenizer, and the other keys, of the repository's manifest; or the usual ones.

    Raises:
        DataError: if the manifest has fewer training shards than are asked for, or paths that leave the data folder.
    """
    request = hub.request
    manifest = load_manifest(hub.download(MANIFEST)) if hub.has(MANIFEST) else empty_manifest()
    vocab_size = int(request.variant.removeprefix("sp"))
    usual = f"tokenizers/fineweb_{vocab_size}_bpe"
    tokenizer: Entry = {"name": f"sp_bpe_{vocab_size}", "model_path": f"{usual}.model", "vocab_path": f"{usual}.vocab"}
    dataset: Entry = {"name": request.name, "tokenizer_name": tokenizer["name"], "path": f"datasets/{request.name}"}
    dataset |= entry_named(manifest, "datasets", request.name) or {}
    tokenizer |= entry_named(manifest, "tokenizers", dataset["tokenizer_name"]) or {"name": dataset["tokenizer_name"]}
    for path in (dataset["path"], tokenizer["model_path"], tokenizer["vocab_path"]):
        path_below(root, path, Path(f"{MANIFEST} of {hub.repo}"))
    available = dataset.get("stats", {}).get("files_train")
    if isinstance(available, int) and available < request.num_train_shards:
        raise DataError(
            f"{hub.repo} has {available} training shards of {request.name}, "
            f"but --train-shards asks for {request.num_train_shards}"
        )
    dataset.pop("files", None)
    defaults = {key: value for key, value in manifest.items() if key not in ("datasets", "tokenizers")}
    return dataset, tokenizer, defaults


def _fetch_tokenizer(hub: _Hub, root: Path, tokenizer: Entry) -> None:
    model, listing = root / tokenizer["model_path"], root / tokenizer["vocab_path"]
    if not _loads(model):
        arrived = hub.download(tokenizer["model_path"])
        if not _loads(arrived):
            arrived.unlink()
            arrived = hub.download(tokenizer["model_path"])
            load_tokenizer(arrived)
        _move(arrived, model)
    if not listing.exists() and hub.has(tokenizer["vocab_path"]):
        _move(hub.download(tokenizer["vocab_path"]), listing)


def _fetch_shards(hub: _Hub, folder: Path, dataset: Entry, say: Say) -> int:
    """Download the shards that are missing or broken; return how many those were."""
    names = _shard_names(hub, dataset)
    missing = [name for name in names if not _is_whole(folder / name)]
    for name in missing:
        if (folder / name).exists():
            say(f"{name}: is broken here, getting it again")
    shard_bytes = HEADER_BYTES + TOKEN_BYTES * int(dataset.get("shard_size", SHARD_TOKENS))
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = len(missing) * shard_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: {len(missing)} shards need about {human_bytes(needed)}, but only {human_bytes(free)} are free; "
            "ask for fewer --train-shards, make room, or choose another --root"
        )
    say(f"{len(names) - len(missing)} of {len(names)} shards are there, getting {len(missing)} from {hub.repo}")
    with meter("downloading", needed) as advance:
        for name in missing:
            _move(_whole_shard(hub, f"{dataset['path']}/{name}", advance, say), folder / name)
    return len(missing)


def _shard_names(hub: _Hub, dataset: Entry) -> list[str]:
    """All validation shards, then the training shards asked for."""
    glob = PurePosixPath(str(dataset.get("val_glob", "fineweb_val_*.bin"))).name
    prefix = glob.split("_val_")[0]
    num_val = dataset.get("stats", {}).get("files_val")
    if not isinstance(num_val, int):
        num_val = 1
        while hub.has(f"{dataset['path']}/{shard_name(prefix, 'val', num_val)}"):
            num_val += 1
    counts: dict[Split, int] = {"val": num_val, "train": hub.request.num_train_shards}
    return [shard_name(prefix, split, index) for split in counts for index in range(counts[split])]


def _whole_shard(hub: _Hub, path: str, advance: Advance, say: Say) -> Path:
    """Download a shard, a second time if it is damaged. Raises DataError if it is damaged twice."""
    arrived = hub.download(path, advance)
    if not _is_whole(arrived):
        say(f"{arrived.name}: arrived broken, getting it again")
        arrived.unlink()
        arrived = hub.download(path, advance)
    try:
        read_header(arrived)
    except DataError as error:
        arrived.unlink()
        raise DataError(f"{error}; {hub.repo} at {hub.endpoint} sent it so twice: its copy may be broken") from error
    return arrived


def _move(arrived: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    arrived.replace(place)


def _with_files(dataset: Entry, folder: Path) -> Entry:
    """The entry with size and SHA-256 of each shard that is there; reads them all."""
    facts = scan_cache.load_facts(folder)
    paths = [path for split in SPLITS for path in sorted(folder.glob(f"*_{split}_*.bin"))]
    scan_cache.scan_new(facts, paths)
    scan_cache.save_facts(folder, facts)
    files = {
        path.name: {
            "bytes": path.stat().st_size,
            "tokens": facts[path.name]["num_tokens"],
            "sha256": facts[path.name]["sha256"],
        }
        for path in paths
    }
    return {**dataset, "files": files}
