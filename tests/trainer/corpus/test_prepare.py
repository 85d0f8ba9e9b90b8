from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import sentencepiece
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from trainer.corpus import prepare as prepare_module
from trainer.corpus import readers
from trainer.corpus.prepare import prepare
from trainer.corpus.prepare_request import PrepareRequest
from trainer.corpus.readers import (
    Sample,
    Source,
    find_sources,
    read_documents,
    split_by_hash,
    stdlib_sources,
    text_digest,
)
from trainer.data.dataset import open_dataset
from trainer.data.progress_meter import LineMeter, human_bytes
from trainer.errors import DataError

DOCUMENTS = [f"Document {n}: " + " ".join(f"word{n * k % 97} naïve" for k in range(n % 50)) for n in range(300)]


def write_json_lines(path: Path, documents: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
    return path


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return write_json_lines(tmp_path / "in.jsonl", DOCUMENTS)


def ask(*paths: Path, **settings) -> PrepareRequest:
    return PrepareRequest(**{"name": "mine", "text": paths, "vocab_size": 300, "val_fraction": 0.2, **settings})


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, by what is in it; what only remembers times, and locks, left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def read_all(path: Path, **settings) -> list[str]:
    (source,) = find_sources([path])
    return list(read_documents(source, settings.get("text_column", "text")))


# What is prepared


def test_tokens_are_the_documents_in_order(lines: Path, tmp_path: Path) -> None:
    """Each document is BOS and its tokens, no EOS; its split follows from its hash; nothing is lost."""
    dataset = prepare(ask(lines, shard_tokens=1000), tmp_path).dataset
    processor = sentencepiece.SentencePieceProcessor(model_file=str(dataset.tokenizer))
    expected: dict[str, list[int]] = {"train": [], "val": []}
    for document in DOCUMENTS:
        digest = int(hashlib.sha256(document.encode()).hexdigest()[:16], 16)
        expected["val" if digest < 0.2 * 2**64 else "train"] += [1, *processor.encode(document)]
    assert dataset.train.read(0, dataset.train.num_tokens).tolist() == expected["train"]
    assert dataset.val.read(0, dataset.val.num_tokens).tolist() == expected["val"]
    assert set(dataset.train.counts[:-1]) == {1000}


def test_the_tokenizer_has_the_competitions_settings(lines: Path, tmp_path: Path) -> None:
    """Ids of control tokens, byte fallback, split digits, no dummy prefix; and a listing beside the model."""
    dataset = prepare(ask(lines), tmp_path).dataset
    processor = sentencepiece.SentencePieceProcessor(model_file=str(dataset.tokenizer))
    assert (processor.pad_id(), processor.bos_id(), processor.eos_id(), processor.unk_id()) == (0, 1, 2, 3)
    assert processor.is_byte(4) and processor.is_byte(259) and not processor.is_byte(260)
    assert not processor.encode("word", out_type=str)[0].startswith("▁")
    assert processor.encode("12", out_type=str) == ["1", "2"]
    pieces = [line.split("\t")[0] for line in dataset.tokenizer.with_suffix(".vocab").read_text().splitlines()]
    assert pieces == [processor.id_to_piece(i) for i in range(processor.vocab_size())]


def test_the_manifest_tells_what_is_there(lines: Path, tmp_path: Path) -> None:
    """The manifest holds the competition's keys, true counts, and the SHA-256 of every file, listing included."""
    prepare(ask(lines, shard_tokens=1000), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (dataset,), (tokenizer,) = manifest["datasets"], manifest["tokenizers"]
    assert dataset["tokenizer_name"] == tokenizer["name"]
    assert dataset["stats"]["docs_total"] == 300
    assert dataset["stats"]["files_train"] == len(list(tmp_path.glob(dataset["train_glob"])))
    sums = {name: about["sha256"] for name, about in dataset["files"].items()}
    assert sums == content(tmp_path / dataset["path"])
    assert tokenizer["sha256"] == hashlib.sha256((tmp_path / tokenizer["model_path"]).read_bytes()).hexdigest()
    assert tokenizer["vocab_sha256"] == hashlib.sha256((tmp_path / tokenizer["vocab_path"]).read_bytes()).hexdigest()


def test_datasets_share_a_manifest(lines: Path, tmp_path: Path) -> None:
    """A second dataset adds its entries, and keeps every other one and every key it does not know."""
    theirs = {"version": "10B", "num_docs": 5, "tokenizers": [{"name": "t"}], "datasets": [{"name": "d", "x": 1}]}
    (tmp_path / "manifest.json").write_text(json.dumps(theirs))
    first = prepare(ask(lines), tmp_path).dataset
    prepare(ask(lines, name="other", vocab_size=310), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["version"], manifest["num_docs"]) == ("10B", 5)
    assert manifest["datasets"][0] == {"name": "d", "x": 1}
    assert [entry["name"] for entry in manifest["datasets"]] == ["d", "mine", "other"]
    assert open_dataset("mine", tmp_path) == first


@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize("batch_bytes", [1, 1 << 18])
def test_the_bytes_do_not_depend_on_the_workers(
    num_workers: int, batch_bytes: int, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of workers and any batching gives the same files, tokenizer included."""
    prepare(ask(lines, shard_tokens=700), tmp_path / "a", num_workers=2)
    monkeypatch.setattr("trainer.corpus.shard_writer.BATCH_BYTES", batch_bytes)
    prepare(ask(lines, shard_tokens=700), tmp_path / "b", num_workers=num_workers)
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("shard_tokens", [1, 7, 100])
def test_shards_cut_documents_anywhere(shard_tokens: int, tmp_path: Path) -> None:
    """Whatever the size of shards, their tokens in a row are the same."""
    path = write_json_lines(tmp_path / "in.jsonl", ["one two", "three", "four five", "six", "seven eight", "nine"])
    whole = prepare(ask(path, vocab_size=290, val_fraction=0.4), tmp_path / "a").dataset
    cut = prepare(ask(path, vocab_size=290, val_fraction=0.4, shard_tokens=shard_tokens), tmp_path / "b").dataset
    for one, other in ((whole.train, cut.train), (whole.val, cut.val)):
        assert one.read(0, one.num_tokens).tolist() == other.read(0, other.num_tokens).tolist()


def test_named_files_validate(tmp_path: Path) -> None:
    """With named validation files, they and only they validate, also when they lie among the text."""
    folder = tmp_path / "text"
    folder.mkdir()
    for index in range(4):
        write_json_lines(folder / f"{index}.jsonl", DOCUMENTS[index * 70 : (index + 1) * 70])
    dataset = prepare(ask(folder, val_files=(folder / "1.jsonl",)), tmp_path).dataset
    processor = sentencepiece.SentencePieceProcessor(model_file=str(dataset.tokenizer))
    expected = [token for document in DOCUMENTS[70:140] for token in (1, *processor.encode(document))]
    assert dataset.val.read(0, dataset.val.num_tokens).tolist() == expected


def test_a_text_too_small_for_its_vocabulary_is_told_and_honest(tmp_path: Path) -> None:
    """Where the text cannot fill the vocabulary, the dataset says its real size, and so does a note."""
    path = write_json_lines(tmp_path / "in.jsonl", ["aaa bbb aaa bbb abc", "bbb aaa", "abc abc", "aaa abc bbb"])
    said: list[str] = []
    dataset = prepare(ask(path, vocab_size=2000, val_fraction=0.4), tmp_path, say=said.append).dataset
    assert 261 <= dataset.vocab_size < 300
    assert any(f"fills a vocabulary of {dataset.vocab_size}, not 2000" in line for line in said)


def test_the_standard_library_is_a_corpus() -> None:
    """The built-in corpus is the library's own source and documentation, without installed packages."""
    names = [source.name for source in stdlib_sources()]
    assert {"json/decoder.py", "pydoc_data/topics.py", "LICENSE.txt"} & set(names) >= {"json/decoder.py"}
    assert names == sorted(names) and len(names) > 500
    assert not [name for name in names if "site-packages" in name or "__pycache__" in name]


# Going on, again, and otherwise


def test_the_same_request_again_does_nothing(lines: Path, tmp_path: Path) -> None:
    """A finished dataset answers at once, also when the input was copied or touched meanwhile."""
    first = prepare(ask(lines), tmp_path / "data")
    before = content(tmp_path / "data")
    os.utime(lines, ns=(5, 5))
    start = time.perf_counter()
    again = prepare(ask(lines), tmp_path / "data", num_workers=3)
    assert time.perf_counter() - start < 0.5
    assert (first.fresh, again.fresh, again.dataset) == (True, False, first.dataset)
    assert content(tmp_path / "data") == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 301}, "vocabulary was 300, now 301"),
        ({"val_fraction": 0.3}, r"validation was 0\.2, now 0\.3"),
        ({"shard_tokens": 999}, "shard tokens was 100000000, now 999"),
    ],
)
def test_another_request_of_the_same_name_is_refused(settings, message: str, lines: Path, tmp_path: Path) -> None:
    """Nothing that was made is replaced unasked; `force` replaces it."""
    first = prepare(ask(lines), tmp_path).dataset
    with pytest.raises(DataError, match=message + ".*pick another name, or replace it by --force"):
        prepare(ask(lines, **settings), tmp_path)
    assert open_dataset("mine", tmp_path) == first
    assert prepare(ask(lines, **settings), tmp_path, force=True).dataset.sha256 != first.sha256


def test_changed_input_is_another_request(lines: Path, tmp_path: Path) -> None:
    """A change of one character in the input is noticed."""
    prepare(ask(lines), tmp_path)
    lines.write_text(lines.read_text().replace("Document 7:", "Dokument 7:"))
    with pytest.raises(DataError, match=r"the input file in\.jsonl has changed"):
        prepare(ask(lines), tmp_path)


def test_a_fetched_folder_is_not_overwritten(lines: Path, tmp_path: Path) -> None:
    """A folder that was not prepared here is refused by name."""
    (tmp_path / "datasets" / "mine").mkdir(parents=True)
    with pytest.raises(DataError, match="was not made by `frostline data prepare`"):
        prepare(ask(lines), tmp_path)


def test_two_at_once_do_not_mix(lines: Path, tmp_path: Path) -> None:
    """While one process prepares a name, another is refused at once."""
    with (
        prepare_module.exclusive(tmp_path / "datasets" / ".mine.lock"),
        pytest.raises(DataError, match="another process is preparing mine"),
    ):
        prepare(ask(lines), tmp_path)


class Died(BaseException):
    """A death that no code of ours may catch."""


@pytest.mark.parametrize(
    "place",
    [
        "corpus.prepare._survey",
        "corpus.prepare._encode",
        "corpus.prepare.publish",
        "corpus.publish._publish_tokenizer",
        "corpus.publish._dataset_entry",
        "corpus.publish.shutil",
        "corpus.publish.merge_into_manifest",
    ],
)
def test_death_between_the_last_steps_is_healed(
    place: str, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dying at any step, then asking again, ends like an unbroken run, manifest included."""
    prepare(ask(lines, shard_tokens=900), tmp_path / "a")

    def die(*_args, **_settings) -> None:
        raise Died

    die.rmtree = die  # where the whole of `shutil` is replaced
    with monkeypatch.context() as patch:
        patch.setattr(f"trainer.{place}", die)
        with pytest.raises(Died):
            prepare(ask(lines, shard_tokens=900), tmp_path / "b")
    prepare(ask(lines, shard_tokens=900), tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert [path.name for path in (tmp_path / "b" / "datasets").iterdir() if path.is_dir()] == ["mine"]


@pytest.mark.parametrize("num_written", range(0, 30, 4))
def test_death_after_any_shard_is_gone_on_from(
    num_written: int, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever shard came last, the next run keeps what is finished and ends with the same bytes."""
    request = ask(lines, shard_tokens=600)
    prepare(request, tmp_path / "a")
    written: list[Path] = []
    real = prepare_module._save_progress

    def die_later(path: Path, writers) -> None:
        if len(written) == num_written:
            raise Died
        written.append(path)
        real(path, writers)

    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "_save_progress", die_later)
        with pytest.raises(Died):
            prepare(request, tmp_path / "b")
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "b" / "datasets").glob(".mine.partial/*.bin")}
    said: list[str] = []
    prepare(request, tmp_path / "b", say=said.append)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert any("the tokenizer is there" in line for line in said)
    untouched = [n for n, t in kept.items() if (tmp_path / "b/datasets/mine" / n).stat().st_mtime_ns == t]
    assert len(untouched) >= num_written


PREPARE = """
import sys
from pathlib import Path
import trainer.corpus.shard_writer
from trainer.corpus.prepare import prepare
from trainer.corpus.prepare_request import PrepareRequest
trainer.corpus.shard_writer.BATCH_BYTES = 1
prepare(PrepareRequest(name="mine", text=(Path(sys.argv[1]),), vocab_size=300, val_fraction=0.2, shard_tokens=200),
        Path(sys.argv[2]), num_workers=2)
"""


def test_kill_9_in_the_middle_changes_nothing(lines: Path, tmp_path: Path) -> None:
    """Killed without warning at three places, then run to the end: the bytes of an unbroken run, and no litter."""

    def command(root: str) -> list[str]:
        return [sys.executable, "-c", PREPARE, str(lines), str(tmp_path / root)]

    subprocess.run(command("a"), check=True)
    partial = tmp_path / "b" / "datasets" / ".mine.partial"
    for num_shards in (1, 20, 60):
        process = subprocess.Popen(command("b"))
        while len(list(partial.glob("*.bin"))) < num_shards and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    subprocess.run(command("b"), check=True)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert not list((tmp_path / "b").rglob("*.tmp"))


def test_too_little_space_is_told_before_shards_are_written(
    lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that cannot hold the shards is an error with both figures, and nothing has been written."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(prepare_module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"the shards need about \d+.*, but only 1\.0 kB are free"):
        prepare(ask(lines), tmp_path)
    assert not list(tmp_path.rglob("*.bin"))


# Bad requests and bad text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 65_537}, "261 to 65536 tokens.*got 65537"),
        ({"vocab_size": 260}, "261 to 65536 tokens.*got 260"),
        ({"vocab_size": 265}, r"a vocabulary of 265 is too small for the characters of this text: it needs \d+"),
        ({"val_fraction": 0.0}, "0 < val_fraction < 1"),
        ({"val_fraction": float("nan")}, "0 < val_fraction < 1"),
        ({"val_fraction": 1e-9}, "none of 300 documents.* fell into val.*--val-files, change --val-fraction"),
        ({"val_fraction": 1 - 1e-9}, "none of 300 documents.* fell into train"),
        ({"shard_tokens": 0}, "1 <= shard_tokens < 2"),
        ({"name": "../x"}, r"a dataset's name is made of.*'\.\./x'"),
        ({"name": "other", "text": ()}, "no text for other.*--text"),
        ({"name": "stdlib", "text": (), "val_files": (Path("x"),)}, "there is no --text"),
        ({"text": (Path("no/such/file.txt"),)}, r"no/such/file\.txt: there is no such file or folder"),
        ({"text": (Path(__file__).parent / "nothing.pdf",)}, "there is no such file"),
    ],
)
def test_bad_requests_are_refused(settings, message: str, lines: Path, tmp_path: Path) -> None:
    """Each value out of range is one message with the rule and the value."""
    with pytest.raises(DataError, match=message):
        prepare(ask(lines, **settings), tmp_path / "data")


def test_a_failed_request_does_not_stand_in_the_way(lines: Path, tmp_path: Path) -> None:
    """After a request that failed before any shard, a corrected one simply runs."""
    with pytest.raises(DataError):
        prepare(ask(lines, val_fraction=1e-9), tmp_path)
    assert prepare(ask(lines), tmp_path).fresh


def test_all_text_validating_is_an_error(lines: Path, tmp_path: Path) -> None:
    """Naming all text as validation leaves nothing to train on."""
    with pytest.raises(DataError, match="no document is left for train"):
        prepare(ask(lines, val_files=(lines,)), tmp_path)


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"\n', r"a\.jsonl:2: is no JSON"),
        ("a.jsonl", b'{"text": "a"}\n\n["b"]\n', r"a\.jsonl:3: must be an object with the key 'text'"),
        ("a.jsonl", b'{"body": "a"}\n', r"a\.jsonl:1: .*is absent \(there are: 'body'\); see --text-column"),
        ("a.jsonl", b'{"text": 5}\n', r"a\.jsonl:1: the value of 'text' must be text, but is 5"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a\.jsonl:1: is no JSON"),
        ("a.txt", b"good\n\xff bad", r"a\.txt: is not UTF-8: byte 0xff at offset 5"),
        ("a.txt", b"", "the input holds no text"),
        ("a.txt", b" \n\t ", "the input holds no text"),
        ("a.jsonl", b"\n\n", "the input holds no text"),
        ("a.parquet", b"PAR1 but not really", r"a\.parquet: is no Parquet file"),
        ("a.parquet", b"", r"a\.parquet: is no Parquet file"),
        ("a.jsonl.gz", b"not gzip", r"a\.jsonl\.gz: the compressed file is damaged"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"text": "a"}\n' * 999, mtime=0)[:-9],
            r"a\.jsonl\.gz: the compressed file is damaged",
        ),
        ("a.jsonl.zst", b"not zstd", r"a\.jsonl\.zst: the compressed file is damaged"),
        ("a.jsonl.zst", zstandard.compress(b'{"text": "a"}\n' * 99)[:-1], r"a\.jsonl\.zst: .*damaged or truncated"),
        ("a.pdf", b"x", r"a\.pdf: is of no supported kind \(\.txt"),
    ],
)
def test_bad_text_is_named_with_file_and_line(name: str, raw: bytes, message: str, tmp_path: Path) -> None:
    """Each kind of damaged input is one message that names the file, and the line where there is one."""
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError, match=message):
        prepare(ask(tmp_path / name), tmp_path / "data")


@pytest.mark.parametrize(
    ("column", "message"),
    [("body", r"has no column 'body' \(there are: text, n\)"), ("n", "must hold text, but holds")],
)
def test_parquet_without_the_column_is_an_error(column: str, message: str, tmp_path: Path) -> None:
    """A missing column, or one of numbers, is told with the columns there are."""
    parquet.write_table(pyarrow.table({"text": ["a"], "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        prepare(ask(tmp_path / "a.parquet", text_column=column), tmp_path / "data")


def test_a_folder_without_text_is_an_error(tmp_path: Path) -> None:
    """A folder is searched for supported files; one without any is named."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pdf").write_bytes(b"x")
    with pytest.raises(DataError, match="holds no file of a supported kind"):
        find_sources([tmp_path / "in"])


# Reading


def test_every_kind_of_file_gives_the_same_documents(tmp_path: Path) -> None:
    """JSON lines plain, gzipped and zstandard in several frames, and Parquet with nulls: the same documents."""
    raw = write_json_lines(tmp_path / "a.jsonl", [*DOCUMENTS[:9], "", " ", *DOCUMENTS[9:]]).read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(raw))
    frames = [zstandard.compress(raw[:777]), zstandard.compress(b""), zstandard.compress(raw[777:])]
    (tmp_path / "c.jsonl.zst").write_bytes(b"".join(frames))
    rows = pyarrow.table({"text": [None, *DOCUMENTS, None], "n": range(len(DOCUMENTS) + 2)})
    parquet.write_table(rows, tmp_path / "d.parquet", row_group_size=13)
    large = pyarrow.table({"text": pyarrow.array(DOCUMENTS, pyarrow.large_string())})
    parquet.write_table(large, tmp_path / "e.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert read_all(path) == DOCUMENTS, path


def test_folders_are_read_in_sorted_order_and_no_file_twice(tmp_path: Path) -> None:
    """Files below a folder come by their relative path; hidden ones do not; a file named again counts once."""
    for name in ("b/z.txt", "b/a.txt", "a.txt", ".git/x.txt", "b/.hidden.txt", "c.pdf"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    names = [source.name for source in find_sources([tmp_path / "b" / "z.txt", tmp_path])]
    assert names == ["z.txt", "a.txt", "b/a.txt"]


@given(raw=st.text(max_size=200), limit=st.integers(4, 40))
def test_a_long_text_is_cut_without_loss(tmp_path_factory, raw: str, limit: int) -> None:
    """A text file longer than the limit becomes documents that join to the whole, each within the limit."""
    path = tmp_path_factory.mktemp("cut") / "a.txt"
    path.write_bytes(raw.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "MAX_DOCUMENT_BYTES", limit)
        parts = list(readers._plain(path, skip_undecodable=False))
    assert "".join(parts) == raw.removeprefix("\ufeff")
    assert all(len(part.encode()) <= limit for part in parts)


def test_bytes_that_are_not_utf8_are_found_far_into_a_long_text(tmp_path: Path, monkeypatch) -> None:
    """The offset in the message is that of the file, not of a part of it."""
    monkeypatch.setattr(readers, "MAX_DOCUMENT_BYTES", 10)
    (tmp_path / "a.txt").write_bytes(b"aaaa bbbb cccc dddd \xfe eeee")
    with pytest.raises(DataError, match="byte 0xfe at offset 20"):
        read_all(tmp_path / "a.txt")


def test_undecodable_library_files_are_skipped(tmp_path: Path) -> None:
    """Python's library holds files in other encodings on purpose: they are left out, not errors."""
    (tmp_path / "a.py").write_bytes(b"\xff")
    assert list(read_documents(Source(path=tmp_path / "a.py", name="a.py", skip_undecodable=True), "text")) == []


def test_lone_surrogates_in_json_become_replacement_characters(tmp_path: Path) -> None:
    """JSON can spell what UTF-8 cannot; a crawl of millions of documents does not die of one."""
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\\ud800b \\ud83d\\ude00"}\n')
    assert read_all(tmp_path / "a.jsonl") == ["a\ufffdb 😀"]


# Choosing


@given(documents=st.lists(st.text(min_size=1, max_size=30), max_size=40), limit=st.integers(1, 300))
def test_a_sample_is_bounded_and_in_order(documents: list[str], limit: int) -> None:
    """The sample keeps to its bytes (one document is always kept) and to the order of the stream."""
    sample = Sample(limit)
    for document in documents:
        sample.add(document, *text_digest(document))
    chosen = sample.documents()
    assert len(chosen) <= 1 or sum(len(document.encode()) for document in chosen) <= limit
    assert bool(chosen) == bool(documents)
    remaining = iter(documents)
    assert all(document in remaining for document in chosen)


def test_a_sample_favours_no_place() -> None:
    """Documents of the second half of a stream are as likely as those of the first."""
    sample = Sample(1000)
    for number in range(2000):
        document = f"{number:010}"
        sample.add(document, *text_digest(document))
    numbers = [int(document) for document in sample.documents()]
    assert len(numbers) == 100
    assert 30 <= sum(number < 1000 for number in numbers) <= 70


def test_the_split_takes_its_share_and_equal_documents_stay_together() -> None:
    """A share of 0.1 is 0.1 of many documents, and depends on nothing but the content."""
    splits = [split_by_hash(text_digest(f"document {number}")[0], 0.1) for number in range(5000)]
    assert abs(np.mean([split == "val" for split in splits]) - 0.1) < 0.015
    assert splits == [split_by_hash(text_digest(f"document {number}")[0], 0.1) for number in range(5000)]


# Telling


def test_progress_is_told_in_lines_where_there_is_no_terminal() -> None:
    """Short work says nothing; long work a line at 2 s, then every ten, and one at the end."""
    now, said = [0.0], []
    lines = LineMeter("encoding", 1000, said.append, lambda: now[0])
    for _ in range(25):
        now[0] += 1
        lines.advance(40)
    lines.close()
    assert [line.split(",")[0] for line in said] == [
        "encoding: 8% of 1.0 kB", "encoding: 48% of 1.0 kB", "encoding: 88% of 1.0 kB", "encoding: done",
    ]  # fmt: skip
    quick = LineMeter("reading", 10, said.append, lambda: 0.0)
    quick.advance(10)
    quick.close()
    assert len(said) == 4


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (999, "999 B"), (16_000_000, "16.0 MB"), (2e12, "2.0 TB")])
def test_bytes_are_shown_in_decimal_units(count: float, shown: str) -> None:
    """Units are those of the byte budget: powers of ten."""
    assert human_bytes(count) == shown
