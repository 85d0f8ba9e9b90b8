from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from data_folder import TEXTS, VOCAB_SIZE, small_model
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.token_bytes import ByteTables, count_bytes, load_byte_tables
from trainer.data.tokenizer import encode
from trainer.errors import DataError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rule") / "t.model"
    path.write_bytes(small_model())
    return path


@pytest.fixture(scope="module")
def processor(model: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


@pytest.fixture(scope="module")
def tables(model: Path) -> ByteTables:
    return load_byte_tables(model, VOCAB_SIZE)


def bytes_by_the_rule(processor: sentencepiece.SentencePieceProcessor, previous: int, target: int) -> int:
    """The rule of the competition for one token, word for word."""

    def is_special(token: int) -> bool:
        return processor.is_control(token) or processor.is_unknown(token) or processor.is_unused(token)

    if is_special(target):
        return 0
    if processor.is_byte(target):
        return 1
    piece = processor.id_to_piece(target)
    if piece[0] != "▁":
        return len(piece.encode("utf-8"))
    return len(piece[1:].encode("utf-8")) + (0 if is_special(previous) else 1)


def test_every_pair_of_tokens_counts_by_the_rule(processor, tables: ByteTables) -> None:
    """For every token after every token, the tables give what the rule says, special tokens and bytes included."""
    ids = np.arange(VOCAB_SIZE)
    previous, target = np.meshgrid(ids, ids)
    expected = [[bytes_by_the_rule(processor, p, t) for p in range(VOCAB_SIZE)] for t in range(VOCAB_SIZE)]
    for token in range(VOCAB_SIZE):
        found = [
            count_bytes(tables, previous[token, i : i + 1], target[token, i : i + 1]) for i in (0, 1, 2, 3, 50, 299)
        ]
        assert found == [expected[token][i] for i in (0, 1, 2, 3, 50, 299)]
    assert count_bytes(tables, previous, target) == sum(map(sum, expected))


def test_the_bytes_of_documents_are_those_of_their_normalized_text(processor, tables: ByteTables) -> None:
    """Over documents of BOS and tokens, the rule counts exactly the UTF-8 bytes of the normalized text."""
    stream = np.concatenate(encode(processor, TEXTS))
    expected = sum(len(processor.normalize(text).replace("▁", " ").encode()) for text in TEXTS)
    assert count_bytes(tables, stream[:-1], stream[1:]) == expected


@given(text=st.text(alphabet=st.characters(exclude_characters="▁", exclude_categories=["Cs"]), max_size=40))
def test_any_text_counts_its_normalized_bytes(text: str) -> None:
    """Whatever the text, bytes fall back to bytes and nothing is lost or counted twice."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=small_model())
    stream = encode(processor, [text])[0]
    total = sum(bytes_by_the_rule(processor, int(p), int(t)) for p, t in itertools.pairwise(stream))
    assert total == len(processor.normalize(text).replace("▁", " ").encode())


def test_ids_beyond_the_tokenizer_count_nothing_and_are_boundaries(model: Path) -> None:
    """A model's vocabulary may be padded: such ids have no bytes, and no space counts after them."""
    tables = load_byte_tables(model, VOCAB_SIZE + 20)
    assert tables.base_bytes.shape == (VOCAB_SIZE + 20,)
    assert tables.base_bytes.dtype == np.int16
    assert not tables.base_bytes[VOCAB_SIZE:].any() and not tables.has_leading_space[VOCAB_SIZE:].any()
    assert tables.is_boundary[VOCAB_SIZE:].all()
    assert load_byte_tables(model, 10).base_bytes.shape == (VOCAB_SIZE,)


def test_large_counts_do_not_overflow(tables: ByteTables) -> None:
    """Sums are of 64 bits, though the tables are of 16."""
    longest = int(tables.base_bytes.argmax())
    many = np.full(100_000, longest)
    assert count_bytes(tables, many, many) >= 100_000 * int(tables.base_bytes[longest])


def test_an_absent_model_is_an_error(tmp_path: Path) -> None:
    """The tokenizer file is named when it is not there."""
    with pytest.raises(DataError, match=r"t\.model: the tokenizer cannot be read"):
        load_byte_tables(tmp_path / "t.model", 300)
