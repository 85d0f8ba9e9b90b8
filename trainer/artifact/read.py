"""Read an artifact that may come from anyone: its config is checked as a user's is."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from trainer.artifact.decode import Artifact, decode
from trainer.config.trial import TrialConfig
from trainer.errors import ArtifactError


def read(path: Path) -> Artifact[TrialConfig]:
    """Check, decode and regenerate all that an artifact stands for.

    Raises:
        ArtifactError: if a length, count or hash is wrong, its config breaks a rule, or the file comes from another
            version.
    """
    return decode(path, _checked_config)


def _checked_config(text: bytes) -> TrialConfig:
    try:
        return TrialConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(key) for key in first["loc"]) or "as a whole"
        reason = " ".join(first["msg"].split())
        raise ArtifactError(f"has a config that this frostline refuses ({where}: {reason})") from error
