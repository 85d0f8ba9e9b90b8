"""The artifact file format: layout, header and limits.

Layout of the file, little-endian: `PREFIX` and `FIELDS` below, the config, and the compressed payload (`payload.py`).
Every length follows from the config, so none is taken on trust.
"""

from __future__ import annotations

import hashlib
import struct

from trainer.artifact.codecs import RAW
from trainer.config.shape import TrialShape

MAGIC = b"FRST"
VERSIONS = (2, 3)
PREFIX = struct.Struct("<4sB32s")  # magic, version, SHA-256 of all bytes of the file but these 32
FIELDS = struct.Struct("<BBIIQ32s32s")  # codec, layout, config raw bytes, config bytes, payload raw bytes, data, maps
HEADER_BYTES = PREFIX.size + FIELDS.size
CONFIG_CODEC = "brotli"  # knows English words and brackets: 10 to 15 % below the others on so short a text
CODEC_NAMES = ("zlib", "zstd", "brotli", "lzma", RAW)  # a codec's place is its number in the file: only ever append

# The most weights a reader accepts, so that a malicious file cannot use up the machine's memory.
MAX_PARAMS = 1 << 28


def version_of(config: TrialShape) -> int:
    """The format of a config's artifact: 3 if it has U-Net skips and an odd depth, else 2.

    frostline 0.1.0 took the skips of odd depths one layer late and wrote format 2. Such a file is refused, as its
    weights were trained for another network. All other files are the same in both versions, byte for byte.
    """
    return 3 if config.model.unet_skips and config.model.num_layers > 1 and config.model.num_layers % 2 else 2


def sealed(rest: bytes, version: int) -> bytes:
    """The whole file: magic, version and the hash of all but itself, before the rest."""
    return PREFIX.pack(MAGIC, version, seal(rest, version)) + rest


def seal(rest: bytes | memoryview, version: int) -> bytes:
    """SHA-256 of magic, version and all that follows the hash itself."""
    digest = hashlib.sha256(MAGIC + bytes([version]))
    digest.update(rest)
    return digest.digest()
