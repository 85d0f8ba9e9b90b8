"""A repository of prepared FineWeb as the official one is laid out, small."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import sentencepiece
from data_folder import TEXTS

from trainer.corpus.train_tokenizer import train_tokenizer
from trainer.data.shard_files import shard_name, write_shard
from trainer.data.tokenizer import encode, vocab_listing

NAME = "fineweb10B_sp1024"
SETS = f"datasets/datasets/{NAME}"


def fineweb_files(folder: Path) -> dict[str, bytes]:
    """Its files by path: manifest, tokenizer, one validation and three training shards.

    Args:
        folder: an empty one to work in.
    """
    model = train_tokenizer([Path(argparse.__file__).read_text()], 1024)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert processor.vocab_size() == 1024
    tokens = np.concatenate(encode(processor, TEXTS))
    manifest = {
        "version": "10B",
        "num_docs": 60,
        "shard_size": len(tokens),
        "tokenizers": [
            {
                "name": "sp_bpe_1024",
                "kind": "sentencepiece_bpe",
                "vocab_size": 1024,
                "model_path": "tokenizers/fineweb_1024_bpe.model",
                "vocab_path": "tokenizers/fineweb_1024_bpe.vocab",
            },
            {"name": "pure_byte_260", "kind": "byte", "path": "tokenizers/byte.json"},
        ],
        "datasets": [
            {"name": "fineweb10B_byte260", "tokenizer_name": "pure_byte_260"},
            {
                "name": NAME,
                "tokenizer_name": "sp_bpe_1024",
                "path": f"datasets/{NAME}",
                "train_glob": f"datasets/{NAME}/fineweb_train_*.bin",
                "val_glob": f"datasets/{NAME}/fineweb_val_*.bin",
                "vocab_size": 1024,
                "stats": {"files_train": 3, "files_val": 1},
            },
        ],
    }
    repo = {
        "datasets/manifest.json": json.dumps(manifest).encode(),
        "datasets/tokenizers/fineweb_1024_bpe.model": model,
        "datasets/tokenizers/fineweb_1024_bpe.vocab": vocab_listing(processor),
    }
    for split, index in (("val", 0), ("train", 0), ("train", 1), ("train", 2)):
        name = shard_name("fineweb", "val" if split == "val" else "train", index)
        write_shard(folder / name, [np.roll(tokens, index)])
        repo[f"{SETS}/{name}"] = (folder / name).read_bytes()
    return repo
