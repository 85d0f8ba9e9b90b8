"""SentencePiece tokenizers: loading, encoding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from trainer.errors import DataError

PAD_ID, BOS_ID, EOS_ID, UNK_ID = 0, 1, 2, 3


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
