"""SentencePiece tokenizers with the competition's settings: training, loading, encoding."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from trainer.errors import DataError

PAD_ID, BOS_ID, EOS_ID, UNK_ID = 0, 1, 2, 3
MIN_VOCAB_SIZE, MAX_VOCAB_SIZE = 261, 65_536  # 4 control tokens, 256 bytes and one character; ids are uint16

# sentencepiece skips whole "sentences" that are too long for it or hold a reserved character, so it gets documents in
# pieces: long enough that the words at the cuts do not matter, short enough that a skipped one does not either.
PIECE_CHARACTERS = 16_384

_TOO_SMALL = re.compile(r"smaller than required_chars\. (\d+) vs (\d+)")


def train_tokenizer(documents: Iterable[str], vocab_size: int) -> bytes:
    """Train a BPE model; equal documents give equal bytes.

    The vocabulary of the result is smaller than `vocab_size` where the text has too few different words to fill it.

    Raises:
        DataError: if `vocab_size` is outside 261..65,536 or too small for the characters of the text.
    """
    check_vocab_size(vocab_size)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(_pieces(documents)),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=0.999,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="nmt_nfkc",
            add_dummy_prefix=False,
            pad_id=PAD_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            hard_vocab_limit=False,
            max_sentence_length=8 * PIECE_CHARACTERS,
            num_threads=4,  # stands in the model's bytes, so it does not follow the machine
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(_reason(str(error), vocab_size)) from error
    return model.getvalue()


def check_vocab_size(vocab_size: int) -> None:
    """Raises DataError if no tokenizer of this size can exist."""
    if not MIN_VOCAB_SIZE <= vocab_size <= MAX_VOCAB_SIZE:
        raise DataError(
            f"the vocabulary must have {MIN_VOCAB_SIZE} to {MAX_VOCAB_SIZE} tokens (shards hold 16-bit ids), "
            f"but got {vocab_size}"
        )


def _reason(message: str, vocab_size: int) -> str:
    if too_small := _TOO_SMALL.search(message):
        return f"a vocabulary of {vocab_size} is too small for the characters of this text: it needs {too_small[2]}"
    if "all_chars_count" in message:
        return "the text holds nothing but whitespace: a tokenizer cannot be trained on it"
    return f"sentencepiece could not train a vocabulary of {vocab_size}: {message}"


def _pieces(documents: Iterable[str]) -> Iterator[str]:
    """Documents cut at whitespace into pieces of about `PIECE_CHARACTERS`."""
    for document in documents:
        start = 0
        while start < len(document):
            end = min(start + PIECE_CHARACTERS, len(document))
            while end < len(document) and end < start + 2 * PIECE_CHARACTERS and not document[end].isspace():
                end += 1
            yield document[start:end].replace("\0", " ")
            start = end


def load_tokenizer(path: Path) -> sentencepiece.SentencePieceProcessor:
    """Load a `.model` file.

    Raises:
        DataError: if it is absent or damaged.
    """
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: the tokenizer cannot be read ({error.strerror})") from error
    except RuntimeError as error:
        raise DataError(f"{path}: is no sentencepiece model, or a damaged one; get it again") from error


def vocab_listing(processor: sentencepiece.SentencePieceProcessor) -> bytes:
    """The text of the `.vocab` file that goes with a model: a piece and its score in each line."""
    lines = (f"{processor.id_to_piece(i)}\t{processor.get_score(i):g}\n" for i in range(processor.vocab_size()))
    return "".join(lines).encode()


def encode(processor: sentencepiece.SentencePieceProcessor, documents: Sequence[str]) -> list[np.ndarray]:
    """Each document as BOS and its tokens (no EOS), uint16. Runs beside other Python threads: the GIL is released."""
    ids = processor.encode(list(documents), num_threads=1)
    return [np.array([BOS_ID, *tokens], dtype=np.uint16) for tokens in ids]
