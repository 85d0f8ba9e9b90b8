from __future__ import annotations

import pytest
from tiny import COMPETITION, STUDY, build, tiny_config

from trainer.config.model import ModelConfig
from trainer.recipes.variants import plan
from trainer.recipes.weight_shapes import count_params, weight_shapes


@pytest.mark.parametrize(
    ("shape", "published"),
    [
        ({"num_layers": 6, "dim": 192, "num_heads": 6}, 2_410_944),
        ({"num_layers": 8, "dim": 256, "num_heads": 4}, 5_509_376),
        ({"num_layers": 12, "dim": 384, "num_heads": 6}, 18_097_536),
        ({"family": "competition", "num_layers": 9, "dim": 512, "num_heads": 8, "num_kv_heads": 4}, 17_059_912),
    ],
)
def test_parameter_counts_are_the_published_ones(shape: dict[str, object], published: int) -> None:
    """Counting from shapes alone gives the study's and the competition baseline's own figures, exactly."""
    assert count_params(ModelConfig.model_validate(shape)) == published


@pytest.mark.parametrize("model", [STUDY, COMPETITION])
@pytest.mark.parametrize("recipe", ["baseline", "selective"])
def test_the_torch_model_has_exactly_the_weights_that_the_shapes_say(model: dict[str, object], recipe: str) -> None:
    """Names and shapes of the model's parameters and of its seeded buffers are those of `weight_shapes`."""
    matrices = ["fc"] if model is COMPETITION else ["gate", "up"]
    freeze = {"freeze": {"matrices": matrices}} if recipe == "selective" else {}
    config = tiny_config(model=model, recipe=recipe, **freeze)
    gpt = build(config)
    found = {name: tuple(weight.shape) for name, weight in gpt.weights().items()}
    found |= {name.removesuffix(".weight"): tuple(buffer.shape) for name, buffer in gpt.named_buffers()}
    assert found == weight_shapes(config.model)
    assert set(plan(config).names("seeded")) == {name.removesuffix(".weight") for name, _ in gpt.named_buffers()}


def test_selective_shares_are_those_of_the_study() -> None:
    """Gate and up frozen: 36.7 % at 6L 192d, 38.1 % at 8L 256d, 39.1 % at 12L 384d, as recounted from the code."""
    shares = []
    for num_layers, dim, num_heads in [(6, 192, 6), (8, 256, 4), (12, 384, 6)]:
        model = {"num_layers": num_layers, "dim": dim, "num_heads": num_heads}
        config = tiny_config(model=model, recipe="selective")
        shapes = weight_shapes(config.model)
        frozen = sum(shapes[name][0] * shapes[name][1] for name in plan(config).names("seeded"))
        shares.append(round(100 * frozen / count_params(config.model), 1))
    assert shares == [36.7, 38.1, 39.1]
