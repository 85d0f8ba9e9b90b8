"""Decode an artifact: check the file, decode its weights, regenerate its frozen maps."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from trainer.artifact.codecs import CodecError, decompress
from trainer.artifact.file_format import (
    CODEC_NAMES,
    CONFIG_CODEC,
    FIELDS,
    HEADER_BYTES,
    MAGIC,
    MAX_PARAMS,
    PREFIX,
    VERSIONS,
    seal,
    version_of,
)
from trainer.artifact.payload import PayloadError, decode_payload
from trainer.config.shape import TrialShape
from trainer.errors import ArtifactError
from trainer.frozen import random_maps
from trainer.recipes.variants import plan
from trainer.recipes.weight_shapes import count_params
from trainer.recipes.weight_storage import Layout, packable_widths, parts_bytes, stored_weights

MAX_FILE_BYTES = 3 * MAX_PARAMS
MAX_CONFIG_BYTES = 1 << 16

Config = TypeVar("Config", bound=TrialShape)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Artifact(Generic[Config]):
    """What `decode` found. `weights` are those stored; `maps` are the `seeded` ones, regenerated and checked."""

    config: Config
    data_sha256: str
    weights: dict[str, npt.NDArray[np.float32]]
    maps: dict[str, npt.NDArray[np.float32]]
    codec: str
    sha256: str
    artifact_bytes: int

    @property
    def seeded(self) -> tuple[str, ...]:
        return tuple(self.maps)


def decode(path: Path, parse: Callable[[bytes], Config]) -> Artifact[Config]:
    """Check, decode and regenerate all that an artifact stands for.

    Args:
        parse: makes the config of the header's text.

    Raises:
        ArtifactError: if a length, count or hash is wrong, or the file comes from another version.
    """
    try:
        content = _read_sealed(path)
        codec, layout, config, data_sha256, maps_sha256, payload = _unpacked(content, parse)
        weights = decode_payload(stored_weights(config), layout, payload)
        maps = _maps(config, maps_sha256)
    except (ArtifactError, PayloadError, CodecError) as error:
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


def _read_sealed(path: Path) -> bytes:
    """The file's content, once magic, version, size and hash are right."""
    if not path.is_file():
        raise ArtifactError("is no file" if path.exists() else "does not exist")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(PREFIX.size)
        if not head or head[:4] != MAGIC:
            raise ArtifactError("is no frostline artifact" + ("" if head else ": it is empty"))
        if len(head) > 4 and head[4] not in VERSIONS:
            known = " and ".join(map(str, VERSIONS))
            raise ArtifactError(f"has artifact format {head[4]}, but this frostline reads formats {known} only")
        if size < HEADER_BYTES:
            raise ArtifactError(f"is cut short: {size} bytes are less than an artifact's header of {HEADER_BYTES}")
        if size > MAX_FILE_BYTES:
            raise ArtifactError(f"is too large: {size:,} bytes, but an artifact has at most {MAX_FILE_BYTES:,}")
        content = head + file.read()
    if seal(memoryview(content)[PREFIX.size :], content[4]) != PREFIX.unpack_from(content)[2]:
        raise ArtifactError("is damaged: its SHA-256 is not the one in its header")
    return content


def _unpacked(content: bytes, parse: Callable[[bytes], Config]) -> tuple[str, Layout, Config, bytes, bytes, bytes]:
    """Codec, layout, config, hashes of data and maps, and decompressed payload; every size checked before use."""
    fields = FIELDS.unpack_from(content, PREFIX.size)
    codec_number, layout_mask, text_bytes, packed_text_bytes, payload_bytes, data_sha256, maps_sha256 = fields
    if codec_number >= len(CODEC_NAMES):
        raise ArtifactError(f"has an unknown codec ({codec_number})")
    codec = CODEC_NAMES[codec_number]
    payload_start = HEADER_BYTES + packed_text_bytes
    if text_bytes > MAX_CONFIG_BYTES or payload_start > len(content):
        raise ArtifactError(f"declares a config of {packed_text_bytes} bytes ({text_bytes} raw), which cannot be")
    config = parse(decompress(CONFIG_CODEC, content[HEADER_BYTES:payload_start], text_bytes))
    if content[4] != version_of(config):
        raise ArtifactError(
            f"has artifact format {content[4]}, but its config has format {version_of(config)}: at an odd number of "
            "layers frostline 0.1.0 added the U-Net skips one layer late; train it again"
        )
    # The plain count first: plans of such models are long.
    num_params = count_params(config.model)
    if num_params > MAX_PARAMS or (num_params := plan(config).num_params()) > MAX_PARAMS:
        raise ArtifactError(f"declares a model of {num_params:,} weights, but an artifact has at most {MAX_PARAMS:,}")
    stored = stored_weights(config).values()
    layout = frozenset(bits for bits in range(8) if layout_mask >> bits & 1)
    if not layout <= packable_widths(stored):
        raise ArtifactError(f"has an unknown layout ({layout_mask}): it packs codes that its config has none of")
    if payload_bytes != (expected := sum(parts_bytes(stored, layout).values())):
        raise ArtifactError(f"declares a payload of {payload_bytes} bytes, but its config's shapes make {expected}")
    return codec, layout, config, data_sha256, maps_sha256, decompress(codec, content[payload_start:], payload_bytes)


def _maps(config: TrialShape, expected_sha256: bytes) -> dict[str, npt.NDArray[np.float32]]:
    try:
        maps = dict(random_maps.seeded_maps(config))
    except ValueError as error:
        raise ArtifactError(f"has seeded maps that cannot be made: {error}") from error
    if random_maps.maps_sha256(maps) != expected_sha256:
        raise ArtifactError("was trained with other seeded maps than this machine regenerates (their SHA-256 differ)")
    return maps
