from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fineweb_repo import NAME, SETS, fineweb_files
from hub_server import HubServer, serving

from trainer.corpus import download
from trainer.corpus.download import FetchRequest, fetch
from trainer.data.dataset import open_dataset
from trainer.errors import DataError

REPO = "someone/their-golf"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return fineweb_files(tmp_path_factory.mktemp("repo"))


@pytest.fixture
def server(files: dict[str, bytes]) -> Iterator[HubServer]:
    with serving(REPO, dict(files)) as running:
        yield running


def ask(server: HubServer, num_train_shards: int = 2, **settings) -> FetchRequest:
    values = {"variant": "sp1024", "repo": REPO, "endpoint": server.url, **settings}
    return FetchRequest(num_train_shards=num_train_shards, **values)


def test_a_fetch_brings_a_dataset_that_opens(server: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    """Validation, tokenizer and the first training shards arrive as they are, in the competition's layout."""
    fetched = fetch(ask(server), tmp_path)
    assert fetched.num_downloaded == 3
    assert fetched.dataset == open_dataset(NAME, tmp_path)
    assert fetched.dataset.vocab_size == 1024
    for path, content in files.items():
        local = tmp_path / path.removeprefix("datasets/")
        if local.name not in ("manifest.json", "fineweb_train_000002.bin"):
            assert local.read_bytes() == content, path
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".manifest")) == [
        "datasets", "manifest.json", "tokenizers",
    ]  # fmt: skip


def test_the_manifest_keeps_their_keys_and_adds_sums(server: HubServer, tmp_path: Path) -> None:
    """The local manifest has their keys and the entry fetched, with SHA-256; what was there before stays."""
    mine = {"version": "frostline", "datasets": [{"name": "mine", "x": 1}], "tokenizers": []}
    (tmp_path / "manifest.json").write_text(json.dumps(mine))
    fetch(ask(server), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["version"], manifest["num_docs"]) == ("frostline", 60)
    assert [entry["name"] for entry in manifest["datasets"]] == ["mine", NAME]
    entry = manifest["datasets"][1]
    assert entry["stats"] == {"files_train": 3, "files_val": 1}
    assert sorted(entry["files"]) == ["fineweb_train_000000.bin", "fineweb_train_000001.bin", "fineweb_val_000000.bin"]
    assert all(len(about["sha256"]) == 64 for about in entry["files"].values())


def test_a_finished_fetch_needs_no_hub(server: HubServer, tmp_path: Path) -> None:
    """The same command again, or for fewer shards, starts nothing and asks nobody."""
    first = fetch(ask(server), tmp_path)
    server.gets.clear()
    for num_train_shards in (2, 1):
        again = fetch(ask(server, num_train_shards, endpoint="http://127.0.0.1:9"), tmp_path)
        assert (again.num_downloaded, again.dataset) == (0, first.dataset)
    assert not server.gets


def test_more_shards_are_added(server: HubServer, tmp_path: Path) -> None:
    """A later command for more shards gets only those."""
    fetch(ask(server, 1), tmp_path)
    server.gets.clear()
    fetched = fetch(ask(server, 3), tmp_path)
    assert (fetched.num_downloaded, len(fetched.dataset.train.paths)) == (2, 3)
    assert not [path for path in server.gets if "000000" in path or "tokenizer" in path]


@pytest.mark.parametrize("left", [b"", b"x", "half"])
def test_broken_files_are_got_again(
    left: bytes | str, server: HubServer, files: dict[str, bytes], tmp_path: Path
) -> None:
    """Zero-byte and truncated shards, as silent failures leave them, are not skipped, and said."""
    fetch(ask(server), tmp_path)
    path = tmp_path / "datasets" / NAME / "fineweb_train_000001.bin"
    whole = files[f"{SETS}/{path.name}"]
    path.write_bytes(whole[: len(whole) // 2] if isinstance(left, str) else left)
    server.gets.clear()
    said: list[str] = []
    assert fetch(ask(server), tmp_path, say=said.append).num_downloaded == 1
    assert path.read_bytes() == whole
    assert [name for name in server.gets if name.endswith(".bin")] == [f"{SETS}/{path.name}"]
    assert any("fineweb_train_000001.bin: is broken here" in line for line in said)


@pytest.mark.parametrize("sent", [b"", b"x" * 1500])
def test_a_file_that_arrives_broken_is_asked_for_again(
    sent: bytes, server: HubServer, files: dict[str, bytes], tmp_path: Path
) -> None:
    """A shard that the hub once sends empty or as nonsense, with a length that fits, is got once more."""
    path = f"{SETS}/fineweb_train_000000.bin"
    server.replies[path] = [sent]
    fetch(ask(server, 1), tmp_path)
    assert not server.replies[path]
    assert (tmp_path / path.removeprefix("datasets/")).read_bytes() == files[path]


def test_a_file_that_is_broken_at_the_hub_is_an_error(server: HubServer, tmp_path: Path) -> None:
    """A shard that arrives truncated twice ends with its name and the repository's; nothing broken stays."""
    path = f"{SETS}/fineweb_val_000000.bin"
    server.files[path] = server.files[path][:-7]
    with pytest.raises(DataError, match=r"fineweb_val_000000\.bin: is truncated.*someone/their-golf.*may be broken"):
        fetch(ask(server), tmp_path)
    assert not list((tmp_path / "datasets").rglob("*.bin"))


def test_a_dropped_connection_is_gone_on_from(
    server: HubServer, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that drops within a file goes on from there by a ranged request, and the file is whole."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100)  # real shards have many chunks of 10 MB
    path = f"{SETS}/fineweb_train_000000.bin"
    server.drop_after[path] = [1111, 222]
    fetch(ask(server, 1), tmp_path)
    assert (tmp_path / path.removeprefix("datasets/")).read_bytes() == files[path]
    assert server.ranges == ["bytes=1100-", "bytes=1300-"]


def test_an_interrupted_fetch_goes_on(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fetch that failed at its last shard, the same command gets that shard alone."""
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the retries
    server.refused.add(f"{SETS}/fineweb_train_000001.bin")
    with pytest.raises(DataError, match=r"cannot get datasets/.*fineweb_train_000001\.bin of someone/their-golf"):
        fetch(ask(server), tmp_path)
    server.refused.clear()
    server.gets.clear()
    assert fetch(ask(server), tmp_path).num_downloaded == 1
    assert [name for name in server.gets if name.endswith(".bin")] == [f"{SETS}/fineweb_train_000001.bin"]


def test_a_killed_download_leaves_no_litter(server: HubServer, tmp_path: Path) -> None:
    """Parts of files that a killed process left are removed by the next."""
    litter = tmp_path / f".fetch-{NAME}" / ".cache" / "x.incomplete"
    litter.parent.mkdir(parents=True)
    litter.write_bytes(b"part")
    fetch(ask(server), tmp_path)
    assert not litter.exists()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_server_is_one_clear_error_at_once(tmp_path: Path) -> None:
    """Nobody listening: the endpoint is named, with what to do, in a few seconds."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    start = time.perf_counter()
    with pytest.raises(DataError, match=rf"at {endpoint}: .*the hub cannot be reached: check the network.*HF_ENDPOINT"):
        fetch(FetchRequest(variant="sp1024", num_train_shards=1, endpoint=endpoint), tmp_path)
    assert time.perf_counter() - start < 5


def test_a_server_that_never_answers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing is given up after the time allowed."""
    monkeypatch.setattr(download, "SECONDS_TO_ANSWER", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError, match="the hub cannot be reached"):
            fetch(FetchRequest(variant="sp1024", num_train_shards=1, endpoint=endpoint), tmp_path)


def test_an_unknown_repository_is_an_error(server: HubServer, tmp_path: Path) -> None:
    """A repository that is not there is told as such."""
    with pytest.raises(DataError, match=r"no/where.*the repository does not exist, or needs a token.*--repo"):
        fetch(ask(server, repo="no/where"), tmp_path)


@pytest.mark.parametrize("prefix", ["other", ""])
def test_a_wrong_prefix_is_an_error(prefix: str, server: HubServer, tmp_path: Path) -> None:
    """Without a manifest the usual names are tried; when they are absent too, the file is named."""
    with pytest.raises(DataError, match=r"has no file .*tokenizers/fineweb_1024_bpe\.model"):
        fetch(ask(server, prefix=prefix), tmp_path)


@pytest.mark.parametrize("num_val", [1, 2])
def test_a_repository_without_a_manifest_serves(num_val: int, server: HubServer, tmp_path: Path) -> None:
    """Some copies have no manifest: the usual names are used, and validation shards are counted."""
    del server.files["datasets/manifest.json"]
    server.files[f"{SETS}/fineweb_val_00000{num_val - 1}.bin"] = server.files[f"{SETS}/fineweb_val_000000.bin"]
    dataset = fetch(ask(server, 1), tmp_path).dataset
    assert (len(dataset.val.paths), dataset.tokenizer.name) == (num_val, "fineweb_1024_bpe.model")


@pytest.mark.parametrize(
    ("num_train_shards", "with_stats", "message"),
    [
        (4, True, "has 3 training shards.*asks for 4"),
        (4, False, r"has no file .*fineweb_train_000003\.bin"),
        (0, True, "--train-shards must be at least 1, but got 0"),
    ],
)
def test_more_shards_than_there_are_is_an_error(
    num_train_shards: int, with_stats: bool, message: str, server: HubServer, tmp_path: Path
) -> None:
    """Asking for too many shards is told, at once where the manifest counts them."""
    if not with_stats:
        manifest = json.loads(server.files["datasets/manifest.json"])
        del manifest["datasets"][1]["stats"]
        server.files["datasets/manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(DataError, match=message):
        fetch(ask(server, num_train_shards), tmp_path)


@pytest.mark.parametrize("path", ["../../evil", "/evil", 3])
def test_a_hostile_manifest_writes_nothing_outside(path: object, server: HubServer, tmp_path: Path) -> None:
    """Paths of a stranger's manifest stay below the data folder."""
    manifest = json.loads(server.files["datasets/manifest.json"])
    manifest["tokenizers"][0]["vocab_path"] = path
    server.files["datasets/manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(DataError, match="must lie below the data folder"):
        fetch(ask(server), tmp_path)


def test_an_unknown_variant_is_an_error(tmp_path: Path) -> None:
    """Only tokenizers with a known repository have a name."""
    with pytest.raises(DataError, match="one of sp1024, sp4096, sp8192, but got 'sp1'"):
        fetch(FetchRequest(variant="sp1", num_train_shards=1), tmp_path)
