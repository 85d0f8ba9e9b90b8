"""A header read without checks says the same as the config that was written."""

from __future__ import annotations

import pytest
from tiny import COMPETITION, tiny_config, tiny_recipe

from trainer.config.shape import TrialShape
from trainer.config.trial import TrialConfig
from trainer.recipes.recipe import Recipe
from trainer.recipes.variants import RECIPES, plan
from trainer.recipes.weight_storage import stored_weights

CONFIGS = {
    **{recipe: tiny_recipe(recipe) for recipe in RECIPES},
    "competition": tiny_config(model=COMPETITION),
    "patterns": tiny_config(artifact={"bits_by_pattern": {"blocks.*.q": 4}, "group_size": 16, "clip_std": 12.0}),
    "some layers": tiny_recipe("selective", freeze={"layers": "1", "scheme": "rademacher", "seed": 7}),
}


def networks(recipe: Recipe) -> dict[str, object]:
    """All of a plan's networks but the objects that hold their settings."""
    return {name: (dict(n.weights), n.prefix, n.branch, n.model.head_dim) for name, n in recipe.networks.items()}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_plain_header_makes_the_same_plan(config: TrialConfig) -> None:
    """Phases, networks, weights and their storage are equal, of every recipe, with lists and presets too."""
    plain = TrialShape.from_json(config.model_dump_json().encode())
    mine, said = plan(plain), plan(config)
    assert (mine.phases, mine.stored, networks(mine)) == (said.phases, said.stored, networks(said))
    assert stored_weights(plain) == stored_weights(config)
    assert (plain.seed, plain.eval.tokens, plain.train.precision) == (config.seed, 1024, "fp32")


def test_settings_and_their_order_are_those_of_the_sections() -> None:
    """What follows from settings adds no field to a section: artifacts hold the fields in this order."""
    names = list(TrialConfig.model_fields)
    assert names[:6] == ["recipe", "data", "seed", "device", "num_threads", "model"]
    assert list(TrialConfig.model_fields["model"].annotation.model_fields)[:3] == [  # type: ignore[union-attr]
        *("family", "vocab_size", "num_layers")
    ]
