"""Training a SentencePiece tokenizer with the competition's settings."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

import sentencepiece

from trainer.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from trainer.errors import DataError

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
