from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.artifact.file_format import HEADER_BYTES
from trainer.artifact.pack import pack
from trainer.artifact.size_bounds import byte_bounds, roughly_most_bytes
from trainer.config.trial import TrialConfig
from trainer.recipes.weight_storage import stored_weights

DATA = "00" * 32
SMALL = {"vocab_size": 32, "num_layers": 2, "dim": 16, "num_heads": 2}
Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]


def spread(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Level codes under scales of all magnitudes: as little to compress as weights can have."""
    span = 14 if len(shape) == 1 else 100
    scales = 2.0 ** rng.uniform(-span, span, shape if len(shape) == 1 else (shape[0], *[1] * (len(shape) - 1)))
    return np.asarray(np.minimum(scales, 2.0**14 if shape[0] < 8 else np.inf) * rng.uniform(-1, 1, shape))


DRAWS: dict[str, Draw] = {
    "zero": lambda rng, shape: np.zeros(shape),
    "constant": lambda rng, shape: np.full(shape, 0.3),
    "normal": lambda rng, shape: 0.02 * rng.standard_normal(shape),
    "level": lambda rng, shape: rng.uniform(-1, 1, shape),
    "spread": spread,
}
RECIPES: dict[str, dict[str, Any]] = {
    "baseline": {},
    "selective": {},
    "scaled_freeze": {},
    "full_adapter": {"adapter": {"kind": "lora", "rank": 3, "channel_gain": True}},
    "progressive": {},
    "low_rank": {"low_rank": {"rank": 5}},
    "distill": {"distill": {"teacher_dim": 16, "teacher_heads": 2}},
    "progressive_distill": {},
    "ensemble": {"ensemble": {"members": ["learned", "frozen", "learned"]}},
}


def config_of(recipe: str, artifact: dict[str, Any], family: str = "study", **model: Any) -> TrialConfig:
    shape = {**SMALL, "family": family, **({"mlp": "gelu"} if recipe == "low_rank" else {}), **model}
    has_gate = family == "study" and recipe != "low_rank"
    freeze = {"matrices": ["up", "q"] if has_gate else ["fc", "proj"]}
    values = {"recipe": recipe, "model": shape, "artifact": artifact, **RECIPES[recipe]}
    return TrialConfig.model_validate(values if recipe == "baseline" else {**values, "freeze": freeze})


def packed_bytes_of(config: TrialConfig, draw: Draw, path: Path) -> int:
    rng = np.random.default_rng(0)
    weights = {
        name: np.asarray(draw(rng, weight.shape), dtype=np.float32) for name, weight in stored_weights(config).items()
    }
    pack(config, weights, data_sha256=DATA, path=path)
    return path.stat().st_size


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    recipe=st.sampled_from(sorted(RECIPES)),
    family=st.sampled_from(["study", "competition"]),
    draw=st.sampled_from(sorted(DRAWS)),
    artifact=st.fixed_dictionaries(
        {
            "matrix_bits": st.integers(2, 8),
            "embedding_bits": st.sampled_from([2, 3, 4, 5, 6, 7, 8]),
            "group_size": st.sampled_from([None, 8, 9, 500]),
            "codec": st.sampled_from(["auto", "zlib", "zstd", "brotli", "lzma"]),
        },
        optional={"clip_std": st.sampled_from([1.0, 12.85]), "bits_by_pattern": st.just({"*.v": 5})},
    ),
)
def test_artifacts_lie_between_their_bounds(
    tmp_path: Path, recipe: str, family: str, draw: str, artifact: dict[str, Any]
) -> None:
    """Every recipe's real artifact, of zeros, noise or anything between, is within what its shapes alone allow."""
    config = config_of(recipe, artifact, family)
    bounds = byte_bounds(config)
    size = packed_bytes_of(config, DRAWS[draw], tmp_path / "a")
    assert bounds.lower_bytes <= size <= bounds.upper_bytes


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("bits", range(2, 9))
def test_bounds_hold_at_every_width(tmp_path: Path, recipe: str, bits: int) -> None:
    """At each width of each recipe the largest and the smallest artifacts we know to make stay between the bounds."""
    config = config_of(recipe, {"matrix_bits": bits, "embedding_bits": bits})
    bounds = byte_bounds(config)
    sizes = [packed_bytes_of(config, DRAWS[draw], tmp_path / draw) for draw in ("zero", "spread")]
    assert HEADER_BYTES < bounds.lower_bytes <= sizes[0] < sizes[1] <= bounds.upper_bytes


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_quick_bound_is_above_the_upper_bound(recipe: str) -> None:
    """By a few kilobytes at most, whatever the settings of training, which its cache leaves out."""
    for learning_rate in (1e-4, 1e-2):
        config = config_of(recipe, {"matrix_bits": 5})
        optimizer = config.optimizer.model_copy(update={"learning_rate": learning_rate})
        config = config.model_copy(update={"optimizer": optimizer, "seed": 7})
        upper = byte_bounds(config).upper_bytes
        assert upper < roughly_most_bytes(config) < upper + 4_000


def test_the_upper_bound_is_reached(tmp_path: Path) -> None:
    """Weights that no codec shrinks make an artifact of exactly the upper bound: it is no larger than it must be."""
    config = config_of("baseline", {"matrix_bits": 6}, vocab_size=16, num_layers=1, dim=8, num_heads=1)
    assert packed_bytes_of(config, spread, tmp_path / "a") == byte_bounds(config).upper_bytes


def test_zeros_come_near_the_lower_bound(tmp_path: Path) -> None:
    """A model of millions of equal weights is a few hundred bytes above the floor, so no higher floor holds."""
    config = config_of("baseline", {"codec": "zstd"}, dim=384, num_layers=2, vocab_size=1024)
    bounds = byte_bounds(config)
    assert packed_bytes_of(config, DRAWS["zero"], tmp_path / "a") < bounds.lower_bytes + 400
    assert bounds.upper_bytes > 2_000_000


def test_bounds_of_the_study() -> None:
    """12L 384d, fully learned, surely fits 16 MB at 6 bits and not at 8; seeded maps are free, trained frozen not."""
    shape = {"num_layers": 12, "dim": 384, "num_heads": 6}
    learned, int6 = TrialConfig.model_validate({"model": shape}), {"matrix_bits": 6, "embedding_bits": 6}
    narrow = TrialConfig.model_validate({"model": shape, "artifact": int6})
    frozen = TrialConfig.model_validate({"model": shape, "recipe": "selective"})
    progressive = TrialConfig.model_validate({"model": shape, "recipe": "progressive"})
    scales_bytes, vectors_bytes = 2 * (12 * (4 * 384 + 3 * 768 - 384) + 1024), 9_600
    assert 0 < byte_bounds(learned).upper_bytes - 18_097_536 - scales_bytes - vectors_bytes < 1_000
    assert byte_bounds(learned).lower_bytes < 16_000_000 < byte_bounds(learned).expected_bytes
    assert byte_bounds(narrow).upper_bytes < 16_000_000
    assert 11_019_648 < byte_bounds(frozen).upper_bytes < 11_080_000
    body = {name: byte_bounds(c).upper_bytes for name, c in (("learned", learned), ("progressive", progressive))}
    assert abs(body["progressive"] - body["learned"]) < 200  # the config's text is longer


@pytest.mark.parametrize(
    "artifact",
    [
        *({"matrix_bits": bits, "embedding_bits": bits} for bits in range(2, 9)),
        {"matrix_bits": 6, "embedding_bits": 6, "clip_std": 12.85},
        {"clip_std": 4.0},
        {"clip_percentile": 99.0},
        {"matrix_bits": 5, "embedding_bits": 4, "group_size": 48},
    ],
    ids=str,
)
def test_expected_bytes_of_normal_weights(tmp_path: Path, artifact: dict[str, Any]) -> None:
    """An artifact of normal weights is within a twentieth of the estimate; of ternary codes within a tenth."""
    config = config_of("baseline", {**artifact, "codec": "brotli"}, dim=96, num_layers=1, vocab_size=512)
    off = 0.1 if artifact.get("matrix_bits") == 2 else 0.05
    size = packed_bytes_of(config, DRAWS["normal"], tmp_path / "a")
    assert 1 - off < size / byte_bounds(config).expected_bytes < 1 + off


def test_admission_needs_no_heavy_library() -> None:
    """Bounds are known without torch, numpy or pyarrow."""
    code = (
        "import sys\nfrom trainer.artifact.size_bounds import byte_bounds\n"
        "from trainer.config.trial import TrialConfig\n"
        "byte_bounds(TrialConfig())\nprint([m for m in ('torch', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
