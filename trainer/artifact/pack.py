"""Pack a trained model into its artifact file: quantize, compress, write.

Quantize, compress, write. Seeded weights are not in the file: the header holds the hash of what `read.py` must
regenerate. There is no pickle. `file_format.py` gives the layout.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

from trainer.artifact.codecs import CODECS, RAW, compress, decompress
from trainer.artifact.encode import Weights, encode_payload
from trainer.artifact.file_format import (
    CODEC_NAMES,
    CONFIG_CODEC,
    FIELDS,
    HEADER_BYTES,
    MAX_PARAMS,
    sealed,
    version_of,
)
from trainer.artifact.header import config_text
from trainer.config.trial import TrialConfig
from trainer.files import write_atomically
from trainer.frozen import random_maps
from trainer.recipes.variants import plan
from trainer.recipes.weight_storage import Layout, Stored, packable_widths, parts_bytes, stored_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackReport:
    """What `pack` wrote. `bytes_by_codec` gives the whole file's size for each codec that was tried.

    `layout` holds the widths whose codes are packed. `codec` is `none` where no compressor makes the payload smaller.
    """

    artifact_bytes: int
    sha256: str
    codec: str
    layout: Layout
    header_bytes: int
    bytes_by_codec: Mapping[str, int]
    raw_bytes: Mapping[str, int]  # of the payload before compression, by part: codes, scales, halves
    num_params_stored: int

    @property
    def bytes_per_param(self) -> float:
        """Of the whole file, over the weights that are in it."""
        return self.artifact_bytes / self.num_params_stored


def pack(config: TrialConfig, weights: Weights, *, data_sha256: str, path: Path) -> PackReport:
    """Quantize, compress and write `weights` (float32, every one that is not seeded) to `path`; canonical bytes.

    `data_sha256` identifies the data whose tokenizer the model needs: 64 hex digits.

    Raises:
        ValueError: naming the weight, if one holds NaN, infinity, or more than fp16 can where it is kept as that.
    """
    stored = stored_weights(config)
    assert {name: values.shape for name, values in weights.items()} == {name: w.shape for name, w in stored.items()}
    if (num_params := plan(config).num_params()) > MAX_PARAMS:
        raise ValueError(f"an artifact holds at most {MAX_PARAMS:,} weights, but got {num_params:,}")
    packed = _packed_payload(config, stored, weights)
    text = config_text(config)
    packed_text = compress(CONFIG_CODEC, text)
    fields = FIELDS.pack(
        CODEC_NAMES.index(packed.codec),
        sum(1 << bits for bits in packed.layout),
        len(text),
        len(packed_text),
        packed.raw_bytes,
        _digest_of_hex(data_sha256),
        random_maps.maps_sha256(dict(random_maps.seeded_maps(config))),
    )
    content = sealed(fields + packed_text + packed.data, version_of(config))
    write_atomically(path, content)
    header_bytes = HEADER_BYTES + len(packed_text)
    return PackReport(
        artifact_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        codec=packed.codec,
        layout=packed.layout,
        header_bytes=header_bytes,
        bytes_by_codec={name: header_bytes + num_bytes for name, num_bytes in packed.bytes_by_codec.items()},
        raw_bytes=parts_bytes(stored.values(), packed.layout),
        num_params_stored=sum(weight.num_params for weight in stored.values()),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PackedPayload:
    """A compressed payload."""

    codec: str
    layout: Layout
    raw_bytes: int
    data: bytes
    bytes_by_codec: Mapping[str, int]


def _packed_payload(config: TrialConfig, stored: Mapping[str, Stored], weights: Weights) -> _PackedPayload:
    """The payload by the codec that makes it smallest; uncompressed and packed where that is smaller still.

    So no artifact exceeds its header and its packed weights, which is the upper bound known from shapes alone.
    """
    layout, payload = encode_payload(stored, weights)
    codecs = tuple(CODECS) if config.artifact.codec == "auto" else (config.artifact.codec,)
    data = {codec: compress(codec, payload) for codec in codecs}
    smallest_layout = packable_widths(stored.values())
    if min(map(len, data.values())) > sum(parts_bytes(stored.values(), smallest_layout).values()):
        layout, payload = encode_payload(stored, weights, smallest_layout)
        data[RAW] = payload
    codec = min(data, key=lambda name: len(data[name]))
    assert decompress(codec, data[codec], len(payload)) == payload
    sizes = {name: len(part) for name, part in data.items()}
    return _PackedPayload(codec=codec, layout=layout, raw_bytes=len(payload), data=data[codec], bytes_by_codec=sizes)


def _digest_of_hex(text: str) -> bytes:
    digest = bytes.fromhex(text)
    assert len(digest) == 32
    return digest
