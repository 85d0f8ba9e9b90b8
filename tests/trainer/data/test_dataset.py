from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from data_folder import VOCAB_SIZE, make_folder
from hypothesis import given
from hypothesis import strategies as st

from trainer.data import scan_cache
from trainer.data.batches import batch
from trainer.data.dataset import Dataset, check_shards, open_dataset
from trainer.data.shuffle import shuffled
from trainer.data.validation_rows import validation_rows
from trainer.errors import DataError

NAME = "set_sp300"
TRAIN = [list(range(100)), list(range(100, 155)), [7], list(range(155, 200))]
VAL = [list(range(40)), list(range(40, 61))]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_folder(tmp_path / "data", train=TRAIN, val=VAL)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("shared")
    make_folder(root, train=TRAIN, val=VAL)
    return open_dataset(NAME, root)


# Opening


def test_a_folder_without_a_manifest_opens(root: Path) -> None:
    """A folder as others downloaded it, shards and tokenizer alone, is a dataset; its vocabulary is the tokenizer's."""
    dataset = open_dataset(NAME, root)
    assert dataset.vocab_size == VOCAB_SIZE
    assert dataset.tokenizer == root / "tokenizers" / "fineweb_300_bpe.model"
    assert (dataset.train.num_tokens, dataset.val.num_tokens) == (201, 61)


def test_a_folder_with_an_official_manifest_opens(root: Path) -> None:
    """A manifest with the competition's keys alone serves too, and names the tokenizer."""
    os.rename(root / "tokenizers" / "fineweb_300_bpe.model", root / "tokenizers" / "other.model")
    (root / "tokenizers" / "unused.model").write_bytes(b"")
    manifest = {
        "version": "10B",
        "tokenizers": [{"name": "sp_bpe_300", "kind": "sentencepiece_bpe", "model_path": "tokenizers/other.model"}],
        "datasets": [
            {"name": NAME, "tokenizer_name": "sp_bpe_300", "vocab_size": 300, "stats": {"files_val": 2}}
        ],
    }  # fmt: skip
    (root / "manifest.json").write_text(json.dumps(manifest))
    assert open_dataset(NAME, root).tokenizer.name == "other.model"


def test_a_second_open_reads_no_shard(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first open found is cached beside the data, by size and time of change."""
    first = open_dataset(NAME, root)
    monkeypatch.setattr(scan_cache, "scan_shard", lambda *_: pytest.fail("a shard was read again"))
    monkeypatch.setattr(scan_cache, "load_tokenizer", lambda *_: pytest.fail("the tokenizer was read again"))
    start = time.perf_counter()
    assert open_dataset(NAME, root) == first
    assert time.perf_counter() - start < 0.1


def test_an_unwritable_folder_opens_twice_with_one_scan(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be cached beside the data, one process still reads each shard once."""
    monkeypatch.setattr(scan_cache, "write_atomically", lambda *_: (_ for _ in ()).throw(PermissionError()))
    first = open_dataset(NAME, root)
    assert not (root / "datasets" / NAME / scan_cache.SIDECAR).exists()
    monkeypatch.setattr(scan_cache, "scan_shard", lambda *_: pytest.fail("a shard was read again"))
    assert open_dataset(NAME, root) == first


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"fineweb_train_000000.bin": 3}'])
def test_a_damaged_memory_is_found_out_again(content: bytes, root: Path) -> None:
    """A damaged sidecar costs a scan, never an error or a wrong answer."""
    first = open_dataset(NAME, root)
    (root / "datasets" / NAME / scan_cache.SIDECAR).write_bytes(content)
    assert open_dataset(NAME, root) == first


def test_the_fingerprint_is_of_the_content_alone(root: Path, tmp_path: Path) -> None:
    """Moving the data keeps its fingerprint; one changed token, or another tokenizer, changes it."""
    first = open_dataset(NAME, root).sha256
    shutil.copytree(root, tmp_path / "elsewhere")
    assert open_dataset(NAME, tmp_path / "elsewhere").sha256 == first
    path = tmp_path / "elsewhere" / "datasets" / NAME / "fineweb_val_000001.bin"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert open_dataset(NAME, tmp_path / "elsewhere").sha256 != first


def damaged_shard(root: Path, content: bytes) -> str:
    path = root / "datasets" / NAME / "fineweb_train_000001.bin"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("opened_before", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"x" * 1500, "is no shard"),
        (np.array([20240520, 1, 9] + [0] * 253, "<i4").tobytes(), "is truncated"),
        (
            np.array([20240520, 1, 1] + [0] * 253, "<i4").tobytes() + b"\x2c\x01",
            "token id 300, but the tokenizer has 300",
        ),
    ],
)
def test_a_damaged_shard_is_named(content: bytes, message: str, opened_before: bool, root: Path) -> None:
    """Damage to any shard is found at the next open, also after one that went well, and the file is named."""
    if opened_before:
        open_dataset(NAME, root)
    path = damaged_shard(root, content)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(NAME, root)
    assert path in str(caught.value)


def test_check_tells_of_every_shard(root: Path) -> None:
    """The check lists all shards with all problems, not only the first."""
    damaged_shard(root, b"")
    (root / "datasets" / NAME / "fineweb_val_000001.bin").write_bytes(b"hello")
    rows = check_shards(NAME, root)
    assert [(path.name, tokens, problem is None) for path, tokens, problem in rows] == [
        ("fineweb_train_000000.bin", 100, True),
        ("fineweb_train_000001.bin", None, False),
        ("fineweb_train_000002.bin", 1, True),
        ("fineweb_train_000003.bin", 45, True),
        ("fineweb_val_000000.bin", 40, True),
        ("fineweb_val_000001.bin", None, False),
    ]


def test_check_reads_anew_what_is_remembered(root: Path) -> None:
    """The check trusts no memory: a change that size and time hide is found by it."""
    open_dataset(NAME, root)
    path = root / "datasets" / NAME / "fineweb_train_000000.bin"
    stamp = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:-2] + b"\xff\xff")
    os.utime(path, ns=(stamp, stamp))
    open_dataset(NAME, root)
    assert "token id 65535" in str(check_shards(NAME, root)[0][2])


def test_an_unknown_dataset_is_told_with_the_nearest_name(root: Path) -> None:
    """A misspelt name gives the nearest one and the command that makes datasets."""
    with pytest.raises(DataError, match=r"no dataset set_sp30 \(did you mean set_sp300\?\).*frostline data prepare"):
        open_dataset("set_sp30", root)
    with pytest.raises(DataError, match="there is none yet"):
        open_dataset("x", root / "nowhere")


@pytest.mark.parametrize("name", ["", ".", "..", "../datasets/set_sp300"])
def test_a_name_is_never_a_path(name: str, root: Path) -> None:
    """Names do not lead out of the folder of datasets."""
    with pytest.raises(DataError, match="there is no dataset"):
        open_dataset(name, root)


def test_a_dataset_without_validation_shards_is_an_error(root: Path) -> None:
    """Both splits must be there."""
    for path in (root / "datasets" / NAME).glob("*_val_*"):
        path.unlink()
    with pytest.raises(DataError, match="holds no shard"):
        open_dataset(NAME, root)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "must be a list of objects"),
        ('{"datasets": [3]}', "must be a list of objects"),
        ('{"datasets": [{"name": "set_sp300", "stats": {"files_val": 3}}]}', "holds 2 of 3 validation shards"),
        ('{"datasets": [{"name": "set_sp300", "vocab_size": 1024}]}', "has 300 tokens, but the manifest says 1024"),
        ('{"datasets": [{"name": "set_sp300", "files": {"fineweb_val_000002.bin": {}}}]}', "000002.bin: is missing"),
        ('{"datasets": [{"name": "set_sp300", "files": {"fineweb_val_000000.bin": {}}}]}', "is not in the manifest"),
        (
            '{"datasets": [{"name": "set_sp300", "tokenizer_name": "t"}], '
            '"tokenizers": [{"name": "t", "kind": "byte"}]}',
            "of kind byte; only sentencepiece",
        ),
        (
            '{"datasets": [{"name": "set_sp300", "tokenizer_name": "t"}], '
            '"tokenizers": [{"name": "t", "model_path": "../../x"}]}',
            "must lie below the data folder",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_an_error(manifest: str, message: str, root: Path) -> None:
    """What the manifest says is held against what is there."""
    (root / "manifest.json").write_text(manifest)
    with pytest.raises(DataError, match=message):
        open_dataset(NAME, root)


def test_a_damaged_tokenizer_is_named(root: Path) -> None:
    """A broken model file is one error that names it."""
    (root / "tokenizers" / "fineweb_300_bpe.model").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"fineweb_300_bpe\.model: is no sentencepiece model"):
        open_dataset(NAME, root)


def test_a_dataset_pickles_as_paths(root: Path) -> None:
    """A dataset travels to a worker as a few hundred bytes, also after its shards were mapped."""
    dataset = open_dataset(NAME, root)
    _ = dataset.train.shards
    content = pickle.dumps(dataset)
    assert len(content) < 2000
    assert pickle.loads(content) == dataset
    assert pickle.loads(content).train.read(95, 105).tolist() == list(range(95, 105))


# The order of rows


@given(size=st.integers(1, 700), key=st.text(max_size=5))
def test_shuffled_is_a_bijection(size: int, key: str) -> None:
    """Each of `size` places is taken exactly once, for every size."""
    assert sorted(shuffled(np.arange(size), size, key).tolist()) == list(range(size))


@given(size=st.integers(1, 2**62), data=st.data())
def test_shuffled_stays_in_range_at_any_size(size: int, data: st.DataObject) -> None:
    """Huge sizes need no memory and keep the range; different positions stay different."""
    positions = data.draw(st.lists(st.integers(0, size - 1), max_size=5, unique=True))
    places = shuffled(np.array(positions, dtype=np.uint64), size, b"key")
    assert places.dtype == np.uint64
    assert all(0 <= place < size for place in places.tolist())
    assert len(set(places.tolist())) == len(positions)


def test_shuffled_takes_every_order_equally_often() -> None:
    """Over keys, all 24 orders of four things come up, none more than 25 % off its share."""
    orders = [tuple(shuffled(np.arange(4), 4, str(key)).tolist()) for key in range(12_000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 24
    assert max(abs(count / 500 - 1) for count in counts) < 0.25


def test_shuffled_is_the_same_everywhere() -> None:
    """The order is part of a trial's bits, so it is pinned: integers alone, whatever the platform or numpy's seed."""
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002  # the global generator is what must not matter
        assert shuffled(np.arange(10), 10, "rows/1/0").tolist() == [0, 3, 6, 5, 8, 7, 9, 2, 4, 1]


def windows(length: int) -> list[list[int]]:
    """All training rows, written down from the rule: every L tokens of a shard, L + 1 tokens long."""
    return [
        shard[start : start + length + 1] for shard in TRAIN for start in range(0, len(shard), length)
        if start + length + 1 <= len(shard)
    ]  # fmt: skip


@given(length=st.integers(1, 99), seed=st.integers(0, 2**63), num_sequences=st.integers(1, 40))
def test_an_epoch_takes_every_row_once(dataset: Dataset, length: int, seed: int, num_sequences: int) -> None:
    """Batches in a row give every window of every shard once before any comes again."""
    expected = sorted(windows(length))
    rows: list[list[int]] = []
    step = 0
    while len(rows) < 2 * len(expected):
        found = batch(dataset, seed=seed, step=step, num_sequences=num_sequences, sequence_tokens=length)
        assert found.shape == (num_sequences, length + 1)
        rows, step = rows + found.tolist(), step + 1
    assert sorted(rows[: len(expected)]) == expected
    assert sorted(rows[len(expected) : 2 * len(expected)]) == expected


def test_a_batch_depends_on_seed_and_step_alone(root: Path) -> None:
    """Asking for other batches before, or cutting steps differently, changes nothing; seeds and epochs do."""
    dataset = open_dataset(NAME, root)

    def rows(seed: int, steps: range, num_sequences: int) -> list[list[int]]:
        return [
            row
            for step in steps
            for row in batch(dataset, seed=seed, step=step, num_sequences=num_sequences, sequence_tokens=4).tolist()
        ]

    num_rows = len(windows(4))
    assert rows(1, range(6), 4) == rows(1, range(3), 8)
    assert rows(1, range(5, 6), 4) == rows(1, range(6), 4)[20:]
    assert rows(1, range(1), num_rows) != rows(2, range(1), num_rows)
    assert rows(1, range(1), num_rows) != rows(1, range(1, 2), num_rows)
    assert rows(1, range(10**15, 10**15 + 1), 4)


def test_a_training_set_shorter_than_a_row_is_an_error(root: Path) -> None:
    """Rows never span shards, so the longest shard decides, and the error says so."""
    dataset = open_dataset(NAME, root)
    assert batch(dataset, seed=1, step=0, num_sequences=1, sequence_tokens=99).tolist() == [list(range(100))]
    with pytest.raises(DataError, match="too short for rows of 100 tokens: its longest shard has 100"):
        batch(dataset, seed=1, step=0, num_sequences=1, sequence_tokens=100)


# Validation rows


@given(length=st.integers(1, 60))
def test_validation_rows_follow_the_competitions_cut(dataset: Dataset, length: int) -> None:
    """n tokens are cut to floor((n - 1) / L) * L + 1; rows are contiguous, and each target comes once, in order."""
    stream = VAL[0] + VAL[1]
    cut = stream[: (len(stream) - 1) // length * length + 1]
    rows = validation_rows(dataset, sequence_tokens=length, num_tokens=None)
    everything = rows.rows(0, rows.num_rows)
    assert everything[:, 1:].ravel().tolist() == cut[1:]
    assert everything[:, :-1].ravel().tolist() == cut[:-1]
    assert rows.num_tokens == len(cut) - 1


@given(length=st.integers(1, 20), data=st.data())
def test_validation_rows_come_in_blocks(dataset: Dataset, length: int, data: st.DataObject) -> None:
    """Any block of rows, across shards too, is that part of the whole."""
    rows = validation_rows(dataset, sequence_tokens=length, num_tokens=None)
    start = data.draw(st.integers(0, rows.num_rows))
    stop = data.draw(st.integers(start, rows.num_rows))
    assert (rows.rows(start, stop) == rows.rows(0, rows.num_rows)[start:stop]).all()


def test_num_tokens_counts_targets(root: Path) -> None:
    """A limit keeps the first rows that hold at most so many scored tokens."""
    dataset = open_dataset(NAME, root)
    counts = [
        validation_rows(dataset, sequence_tokens=10, num_tokens=limit).num_tokens for limit in (10, 19, 20, 60, 10**9)
    ]
    assert counts == [10, 10, 20, 60, 60]


@pytest.mark.parametrize(("length", "limit", "message"), [(61, None, "one row needs 62"), (10, 9, "less than one row")])
def test_less_than_one_validation_row_is_an_error(length: int, limit: int | None, message: str, root: Path) -> None:
    """No score is given on no row."""
    with pytest.raises(DataError, match=message):
        validation_rows(open_dataset(NAME, root), sequence_tokens=length, num_tokens=limit)


def test_the_second_part_follows_the_first_and_is_no_longer(dataset: Dataset) -> None:
    """Its rows begin where the first part ends, as many as there are in it or in the rest; after all there is none."""
    every = validation_rows(dataset, sequence_tokens=10, num_tokens=None)
    first = validation_rows(dataset, sequence_tokens=10, num_tokens=30)
    second = first.after()
    assert second is not None and (second.first_token, second.num_rows) == (30, 3)
    np.testing.assert_array_equal(second.rows(0, 3), every.rows(3, 6))
    most = validation_rows(dataset, sequence_tokens=10, num_tokens=10 * (every.num_rows - 1))
    rest = most.after()
    assert rest is not None and rest.num_rows == 1
    np.testing.assert_array_equal(rest.rows(0, 1), every.rows(every.num_rows - 1, every.num_rows))
    assert every.after() is None
