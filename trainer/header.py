"""The head of an artifact: fixed fields, then the trial's config as compressed JSON. Free of numpy."""

from __future__ import annotations

import struct

from trainer.codecs import RAW, compress
from trainer.config import TrialConfig

MAGIC = b"FRST"
VERSION = 2
PREFIX = struct.Struct("<4sB32s")  # magic, version, SHA-256 of all bytes of the file but these 32
FIELDS = struct.Struct("<BBIIQ32s32s")  # codec, layout, config raw bytes, config bytes, body raw bytes, data, maps
HEADER_BYTES = PREFIX.size + FIELDS.size
CONFIG_CODEC = "brotli"  # knows English words and brackets: 10 to 15 % below the others on so short a text
CODEC_NAMES = ("zlib", "zstd", "brotli", "lzma", RAW)  # a codec's place is its number in the file: only ever append


def config_text(config: TrialConfig) -> bytes:
    """The config as an artifact holds it, before compression."""
    return config.model_dump_json().encode()


def header_bytes(config: TrialConfig) -> int:
    """Exact bytes of an artifact before its body, from the config alone."""
    return HEADER_BYTES + len(compress(CONFIG_CODEC, config_text(config)))
