"""TrialConfig: every setting of one trial, checked, and the ids made from them. Free of torch.

A `TrialConfig` says everything that decides a trial's bits; where it runs and where its files lie is said elsewhere.
Two families of model live in one tree: naming a family fills every model setting that is not given.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import model_validator

from trainer.config.trial_settings import TrialSettings
from trainer.recipes.weight_shapes import weight_shapes
from trainer.recipes.weight_storage import stored_weights


class TrialConfig(TrialSettings):
    """The config of one trial. Same config, same device class, same data: the same bits of `ce`.

    Raises:
        pydantic.ValidationError: with every broken rule at once, each naming its key and value.
    """

    @model_validator(mode="after")
    def _recipe_fits(self) -> TrialConfig:
        """What can only be checked on the weights that the recipe makes."""
        if self.freeze is not None and self.freeze.scheme == "orthogonal":
            self._orthogonal_maps_fit()
        if self.artifact.bits_by_pattern:
            stored_weights(self)
        return self

    @property
    def config_id(self) -> str:
        """Twelve hex digits that all replicates (trials alike but for `seed`) share."""
        return _digest(self.model_dump(mode="json", exclude={"seed"}, exclude_none=True))

    @property
    def trial_id(self) -> str:
        """Readable and unique: recipe, shape, seed, and a digest of the whole config."""
        shape = f"{self.model.num_layers}L{self.model.dim}d"
        return f"{self.recipe}-{shape}-s{self.seed}-{_digest(self.model_dump(mode='json', exclude_none=True))}"

    def _orthogonal_maps_fit(self) -> None:
        """The rule of `random_maps.hadamard_block`, here so that a sweep is refused before it starts."""
        shapes = weight_shapes(self.model)
        for matrix in self.frozen_matrices:
            if max(shapes[f"blocks.0.{matrix}"]) % 16:
                raise ValueError(
                    "`freeze.scheme` orthogonal needs matrices whose longer side is divisible by 16, "
                    f"but got {matrix} of {' x '.join(map(str, shapes[f'blocks.0.{matrix}']))}"
                )


def _digest(values: dict[str, Any]) -> str:
    """Twelve hex digits of plain values; settings that are None are left out, so that a new section moves no old id."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
