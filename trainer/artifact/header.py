"""The header of an artifact, from its config alone. Free of torch and numpy."""

from __future__ import annotations

from trainer.artifact.codecs import compress
from trainer.artifact.file_format import CONFIG_CODEC, HEADER_BYTES
from trainer.config.trial import TrialConfig


def config_text(config: TrialConfig) -> bytes:
    """The config as an artifact holds it, before compression."""
    return config.model_dump_json().encode()


def header_bytes(config: TrialConfig) -> int:
    """Exact bytes of an artifact before its payload, from the config alone."""
    return HEADER_BYTES + len(compress(CONFIG_CODEC, config_text(config)))
