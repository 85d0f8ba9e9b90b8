"""The artifact: one file with all that a cold process needs to score a model, apart from code and tokenizer.

Layout, little-endian: a fixed header (`PREFIX` and `FIELDS` below), the trial's config as compressed JSON, and the
compressed body (`trainer.body`). Every length follows from the config, so none is taken on trust.
Seeded weights are not in the file: `read` regenerates them and compares their hash. There is no pickle.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from trainer import seeds
from trainer.body import BodyError, Weights, decode, encode
from trainer.codecs import CODECS, RAW, CodecError, compress, decompress
from trainer.config import TrialConfig
from trainer.files import write_atomically
from trainer.header import (
    CODEC_NAMES,
    CONFIG_CODEC,
    FIELDS,
    HEADER_BYTES,
    MAGIC,
    PREFIX,
    VERSION,
    config_text,
)
from trainer.recipes import plan
from trainer.shapes import count_params
from trainer.stored import Layout, Stored, packable_widths, parts_bytes, stored_weights

# What a reader is ready to hold, so that a hostile file cannot take the machine's memory.
MAX_PARAMS = 1 << 28
MAX_FILE_BYTES = 3 * MAX_PARAMS
MAX_CONFIG_BYTES = 1 << 16


class ArtifactError(ValueError):
    """A file is no artifact, is damaged, or does not fit this version; the message is one line naming the file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackReport:
    """What `pack` wrote. `bytes_by_codec` gives the whole file's size for each codec that was tried.

    `layout` holds the widths whose codes are packed. `codec` is `none` where no compressor makes the body smaller.
    """

    artifact_bytes: int
    sha256: str
    codec: str
    layout: Layout
    header_bytes: int
    bytes_by_codec: Mapping[str, int]
    raw_bytes: Mapping[str, int]  # of the body before compression, by part: codes, scales, halves
    num_params_stored: int

    @property
    def bytes_per_param(self) -> float:
        """Of the whole file, over the weights that are in it."""
        return self.artifact_bytes / self.num_params_stored


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """What `read` found. `weights` are those stored; `maps` are the `seeded` ones, regenerated and checked."""

    config: TrialConfig
    data_sha256: str
    weights: dict[str, npt.NDArray[np.float32]]
    maps: dict[str, npt.NDArray[np.float32]]
    codec: str
    sha256: str
    artifact_bytes: int

    @property
    def seeded(self) -> tuple[str, ...]:
        return tuple(self.maps)


def pack(config: TrialConfig, weights: Weights, *, data_sha256: str, path: Path) -> PackReport:
    """Quantise, compress and write `weights` (float32, every one that is not seeded) to `path`; canonical bytes.

    `data_sha256` identifies the data whose tokenizer the model needs: 64 hex digits.

    Raises:
        ValueError: naming the weight, if one holds NaN, infinity, or more than fp16 can where it is kept as that.
    """
    stored = stored_weights(config)
    assert {name: values.shape for name, values in weights.items()} == {name: w.shape for name, w in stored.items()}
    if (num_params := plan(config).num_params()) > MAX_PARAMS:
        raise ValueError(f"an artifact holds at most {MAX_PARAMS:,} weights, but got {num_params:,}")
    packed = _packed_body(config, stored, weights)
    text = config_text(config)
    packed_text = compress(CONFIG_CODEC, text)
    fields = FIELDS.pack(
        CODEC_NAMES.index(packed.codec),
        sum(1 << bits for bits in packed.layout),
        len(text),
        len(packed_text),
        packed.raw_bytes,
        _digest_of_hex(data_sha256),
        _maps_sha256(dict(seeds.seeded_maps(config))),
    )
    content = _sealed(fields + packed_text + packed.data)
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
class _Packed:
    """A compressed body."""

    codec: str
    layout: Layout
    raw_bytes: int
    data: bytes
    bytes_by_codec: Mapping[str, int]


def _packed_body(config: TrialConfig, stored: Mapping[str, Stored], weights: Weights) -> _Packed:
    """The body by the codec that makes it smallest; uncompressed and packed where that is smaller still.

    So no artifact exceeds its header and its packed weights, which is the upper bound known from shapes alone.
    """
    layout, body = encode(stored, weights)
    codecs = tuple(CODECS) if config.artifact.codec == "auto" else (config.artifact.codec,)
    data = {codec: compress(codec, body) for codec in codecs}
    smallest_layout = packable_widths(stored.values())
    if min(map(len, data.values())) > sum(parts_bytes(stored.values(), smallest_layout).values()):
        layout, body = encode(stored, weights, smallest_layout)
        data[RAW] = body
    codec = min(data, key=lambda name: len(data[name]))
    assert decompress(codec, data[codec], len(body)) == body
    sizes = {name: len(part) for name, part in data.items()}
    return _Packed(codec=codec, layout=layout, raw_bytes=len(body), data=data[codec], bytes_by_codec=sizes)


def read(path: Path) -> Artifact:
    """Check, decode and regenerate all that an artifact stands for.

    Raises:
        ArtifactError: if a length, count or hash is wrong, or the file comes from another version.
    """
    try:
        content = _read_sealed(path)
        codec, layout, config, data_sha256, maps_sha256, body = _open(content)
        weights = decode(stored_weights(config), layout, body)
        maps = _maps(config, maps_sha256)
    except (ArtifactError, BodyError, CodecError) as error:
        raise ArtifactError(f"{path} {error}") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    return Artifact(
        config=config,
        data_sha256=data_sha256.hex(),
        weights=weights,
        maps=maps,
        codec=codec,
        sha256=hashlib.sha256(content).hexdigest(),
        artifact_bytes=len(content),
    )


def _digest_of_hex(text: str) -> bytes:
    digest = bytes.fromhex(text)
    assert len(digest) == 32
    return digest


def _maps_sha256(maps: Weights) -> bytes:
    """One hash over all seeded maps: of a line with name and hash for each."""
    lines = [f"{name} {seeds.map_sha256(values)}\n" for name, values in maps.items()]
    return hashlib.sha256("".join(lines).encode()).digest()


def _sealed(rest: bytes) -> bytes:
    """The whole file: magic, version and the hash of all but itself, before the rest."""
    return PREFIX.pack(MAGIC, VERSION, _seal(rest)) + rest


def _seal(rest: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(MAGIC + bytes([VERSION]))
    digest.update(rest)
    return digest.digest()


def _read_sealed(path: Path) -> bytes:
    """The file's content, once magic, version, size and hash are right."""
    if not path.is_file():
        raise ArtifactError("is no file" if path.exists() else "does not exist")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(PREFIX.size)
        if not head or head[:4] != MAGIC:
            raise ArtifactError("is no frostline artifact" + ("" if head else ": it is empty"))
        if len(head) > 4 and head[4] != VERSION:
            raise ArtifactError(f"has artifact format {head[4]}, but this frostline reads format {VERSION} only")
        if size < HEADER_BYTES:
            raise ArtifactError(f"is cut short: {size} bytes are less than an artifact's header of {HEADER_BYTES}")
        if size > MAX_FILE_BYTES:
            raise ArtifactError(f"is too large: {size:,} bytes, but an artifact has at most {MAX_FILE_BYTES:,}")
        content = head + file.read()
    if _seal(memoryview(content)[PREFIX.size :]) != PREFIX.unpack_from(content)[2]:
        raise ArtifactError("is damaged: its SHA-256 is not the one in its header")
    return content


def _open(content: bytes) -> tuple[str, Layout, TrialConfig, bytes, bytes, bytes]:
    """Codec, layout, config, hashes of data and maps, and decompressed body; every size compared before it is used."""
    fields = FIELDS.unpack_from(content, PREFIX.size)
    codec_number, layout_mask, text_bytes, packed_text_bytes, body_bytes, data_sha256, maps_sha256 = fields
    if codec_number >= len(CODEC_NAMES):
        raise ArtifactError(f"has an unknown codec ({codec_number})")
    codec = CODEC_NAMES[codec_number]
    body_start = HEADER_BYTES + packed_text_bytes
    if text_bytes > MAX_CONFIG_BYTES or body_start > len(content):
        raise ArtifactError(f"declares a config of {packed_text_bytes} bytes ({text_bytes} raw), which cannot be")
    config = _config(decompress(CONFIG_CODEC, content[HEADER_BYTES:body_start], text_bytes))
    # The plain count first: plans of such models are long.
    num_params = count_params(config.model)
    if num_params > MAX_PARAMS or (num_params := plan(config).num_params()) > MAX_PARAMS:
        raise ArtifactError(f"declares a model of {num_params:,} weights, but an artifact has at most {MAX_PARAMS:,}")
    stored = stored_weights(config).values()
    layout = frozenset(bits for bits in range(8) if layout_mask >> bits & 1)
    if not layout <= packable_widths(stored):
        raise ArtifactError(f"has an unknown layout ({layout_mask}): it packs codes that its config has none of")
    if body_bytes != (expected := sum(parts_bytes(stored, layout).values())):
        raise ArtifactError(f"declares a body of {body_bytes} bytes, but its config's shapes make {expected}")
    return codec, layout, config, data_sha256, maps_sha256, decompress(codec, content[body_start:], body_bytes)


def _config(text: bytes) -> TrialConfig:
    try:
        return TrialConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(key) for key in first["loc"]) or "as a whole"
        reason = " ".join(first["msg"].split())
        raise ArtifactError(f"has a config that this frostline refuses ({where}: {reason})") from error


def _maps(config: TrialConfig, expected_sha256: bytes) -> dict[str, npt.NDArray[np.float32]]:
    try:
        maps = dict(seeds.seeded_maps(config))
    except ValueError as error:
        raise ArtifactError(f"has seeded maps that cannot be made: {error}") from error
    if _maps_sha256(maps) != expected_sha256:
        raise ArtifactError("was trained with other seeded maps than this machine regenerates (their SHA-256 differ)")
    return maps
