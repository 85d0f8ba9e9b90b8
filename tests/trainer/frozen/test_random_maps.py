from __future__ import annotations

import ast
import os
import subprocess
import sys
import tracemalloc
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from trainer.config.trial import TrialConfig
from trainer.frozen import random_maps
from trainer.frozen.random_maps import SCHEMES, hadamard_block, map_sha256, map_values, normal_quantile, seeded_maps

# Bytes that no processor, thread count, numpy or torch may ever change: artifacts in the world rest on them.
GOLDEN = {
    ("normal", 384, 192): "5c50136257367163caf581affc213c275e893452ee07190f09f8007268b2e383",
    ("normal", 192, 384): "52f44580d60b7509f3e6402b087015d09624131055b8854ceafb093b20b60790",
    ("normal", 96, 48): "66ce300add111b75750c24889e38fadcaf67910649053cf57d912f76fe7a5e30",
    ("normal", 256, 256): "be46c42bb4a8dfea7d77970fa23dcb6b319f64c4496690bb744ee2c708514577",
    ("normal", 33, 32): "6e7b86509b2850c744897500315f9efe31eae7914f171f05fa8bf9ae30cc27e3",
    ("uniform", 384, 192): "2e7604147afc3c519659f48b498a6c22edf7ae67746e9997be32d37b0638a3d2",
    ("uniform", 192, 384): "2ab8165643a1d5ea1443ca495ca18ec60da66bc12cccc4686ce9e91218278940",
    ("uniform", 96, 48): "590f74178e28d71006fd6375fdbf15a696b312920549527c30d33558046aa111",
    ("uniform", 256, 256): "2559a7446e4470600f56fab34f00f77cbaf2b993e1c9524f77f82fd87be57c85",
    ("uniform", 33, 32): "f04631fb0b60419809ea4592c3b837d825207befd396e404dd451bfd8e94a3ad",
    ("rademacher", 384, 192): "7a66e7dc8b886815fbcf1e9b60d216856ebe2045d3745e42bf3056e323f69f60",
    ("rademacher", 192, 384): "0b3bcde234be3ea4d1b01230ddee720b5c3c6cdad8e37f1d350a67dd93c08f75",
    ("rademacher", 96, 48): "99bb70498c024e5ec251c25187e8d89a02d04a7663ec8d5453c522c0f5afd13a",
    ("rademacher", 256, 256): "dc088e27af8d821ed520b8b6cd7b892c31e2e2f259e69eefbdd9a7be66d5ad17",
    ("rademacher", 33, 32): "564da016a0e21962d845ae343907b5f992e1a9f8874bd408b920408967ede10a",
    ("orthogonal", 384, 192): "6b5fa5cc7126f8c65fcb05f7bd650cb10d2a467067a5e3fa01122c72cc1f9120",
    ("orthogonal", 192, 384): "e3c7f73e3469d80b3fdbc70ba3f349b50dc625c9f4f75e2046c992e2793a7fa7",
    ("orthogonal", 96, 48): "215b6ff362c22067434b3e2ec72e75620b8b739629676088909489e4f1049e45",
    ("orthogonal", 256, 256): "a7bd46f15b40eb8506065be4d3cce160de6e9ca3755cc6f2bf3beca1a3ff60c6",
    ("orthogonal", 33, 400): "8f744ce52ed4d079d03768d9290571b617633663936462c17e80f8296f04d188",
}


def hashes() -> dict[tuple[str, int, int], str]:
    return {
        (scheme, rows, columns): map_sha256(map_values(scheme, shape=(rows, columns), seed=42, layer="blocks.0.gate"))
        for scheme, rows, columns in GOLDEN
    }


def test_golden_bytes() -> None:
    """Every scheme gives the bytes it gave when it was first released, for wide, tall, square and odd shapes."""
    assert hashes() == GOLDEN


@pytest.mark.parametrize("num_threads", [1, 2])
def test_threads_do_not_matter(num_threads: int) -> None:
    """The maps are the same with one thread and with two, in torch and in a fresh process."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        assert hashes() == GOLDEN
    finally:
        torch.set_num_threads(before)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    code = (
        "from trainer.frozen.random_maps import map_sha256, map_values\n"
        "for scheme in ('normal', 'orthogonal'):\n"
        "    print(map_sha256(map_values(scheme, shape=(96, 48), seed=42, layer='blocks.0.gate')))\n"
    )
    environment = {**os.environ, **{name: str(num_threads) for name in names}}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [GOLDEN["normal", 96, 48], GOLDEN["orthogonal", 96, 48]]


def test_narrower_vector_units_do_not_matter() -> None:
    """Without AVX2 and AVX-512, numpy's other code paths give the same bytes."""
    known = [f for f in ("AVX2", "AVX512F", "AVX512_SKX", "FMA3", "X86_V3", "X86_V4") if _can_switch_off(f)]
    if not known:
        pytest.skip("numpy has no vector unit to switch off here")
    code = (
        "from trainer.frozen.random_maps import map_sha256, map_values\n"
        "print(map_sha256(map_values('normal', shape=(384, 192), seed=42, layer='blocks.0.gate')))\n"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(known)}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [GOLDEN["normal", 384, 192]]


def _can_switch_off(feature: str) -> bool:
    from numpy._core import _multiarray_umath as core

    return feature in core.__cpu_dispatch__ and bool(core.__cpu_features__.get(feature))


def test_global_state_does_not_matter() -> None:
    """Neither global seeds nor numpy's error state reach a map, and a map moves no global generator."""
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    expected = np.random.random(3), torch.rand(3)  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    with np.errstate(all="raise"):
        assert hashes() == GOLDEN
    assert np.array_equal(np.random.random(3), expected[0])  # noqa: NPY002
    assert torch.equal(torch.rand(3), expected[1])


def test_no_function_whose_last_bit_may_differ() -> None:
    """The module calls nothing of numpy whose result is not fixed by IEEE 754 or by numpy's promise for bit streams."""
    tree = ast.parse(Path(random_maps.__file__).read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _root(node) == "np"}
    arithmetic = {"add", "subtract", "multiply", "divide", "sqrt", "negative", "abs", "copysign", "frexp", "minimum"}
    exact = {"where", "less", "greater", "flatnonzero", "bitwise_or", "right_shift", "argsort", "unpackbits", "copyto"}
    memory = {"empty", "zeros", "full_like", "arange", "ascontiguousarray", "random", "Philox"}
    types = {"float32", "float64", "int8", "int32", "uint8", "uint64"}
    assert used <= arithmetic | exact | memory | types
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _root(node) == "math"} - {
        "sqrt"
    }


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_arguments_all_count(scheme: random_maps.Scheme) -> None:
    """Another seed, layer, scheme or shape gives another map; the same ones give the same."""
    arguments = {"shape": (64, 32), "seed": 1, "layer": "blocks.0.gate"}
    others = [{"seed": 2}, {"seed": 2**63 - 1}, {"layer": "blocks.1.gate"}, {"layer": "blocks.0.up"}]
    first = map_values(scheme, **arguments)
    assert np.array_equal(first, map_values(scheme, **arguments))
    assert len({map_sha256(map_values(scheme, **{**arguments, **other})) for other in [{}, *others]}) == 5
    assert not np.array_equal(first[:32], map_values(scheme, **{**arguments, "shape": (32, 32)}))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", [(512, 256), (256, 512), (384, 192), (400, 200)])
def test_statistics(scheme: random_maps.Scheme, shape: tuple[int, int]) -> None:
    """Mean 0 and variance 1/in within five standard errors; float32, C order, finite; rows do not repeat."""
    values = map_values(scheme, shape=shape, seed=3, layer="x")
    assert values.dtype == np.float32 and values.shape == shape and values.flags.c_contiguous
    scaled = values.astype(np.float64) * sqrt(shape[1])
    assert abs(scaled.mean()) < 5 / sqrt(scaled.size)
    fourth = {"normal": 3.0, "uniform": 1.8, "rademacher": 1.0, "orthogonal": 3.0}[scheme]
    assert abs((scaled**2).mean() - 1) < 5 * sqrt((fourth - 1) / scaled.size) + 1e-6
    assert abs((scaled**4).mean() - fourth) < 0.1
    assert len(np.unique(values, axis=0)) == shape[0]


def test_distributions() -> None:
    """Normal and uniform maps pass Kolmogorov-Smirnov tests; Rademacher maps hold exactly ±1/sqrt(in)."""
    arguments = {"shape": (300, 128), "seed": 5, "layer": "x"}
    normal = map_values("normal", **arguments).ravel() * sqrt(128)
    assert stats.kstest(normal, "norm").pvalue > 0.001
    uniform = map_values("uniform", **arguments).ravel() * sqrt(128 / 3)
    assert stats.kstest(uniform, "uniform", args=(-1, 2)).pvalue > 0.001
    assert set(np.unique(map_values("rademacher", **arguments))) == {-np.float32(128**-0.5), np.float32(128**-0.5)}


def test_words_are_used_one_by_one() -> None:
    """Chunks do not show: value n of a map comes from word n of the stream, to the last."""
    rows = 3 * random_maps.CHUNK_VALUES // 64 + 5
    values = map_values("uniform", shape=(rows, 64), seed=1, layer="x").ravel()
    words = random_maps._words(f"frostline-map/1|uniform|1|x|{rows}x64")(values.size)
    for n in (0, 1, random_maps.CHUNK_VALUES - 1, random_maps.CHUNK_VALUES, values.size - 1):
        odd = (int(words[n]) >> 12) * 2 + 1
        assert values[n] == np.float32((odd - 2**52) / 2**53 * sqrt(12 / 64))


def test_extreme_words_stay_inside() -> None:
    """The lowest and highest words map to numbers inside (0, 1), symmetric, with finite quantiles."""
    u = random_maps._open_unit(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert u[0] == 2.0**-53 and u[1] == 1 - 2.0**-53
    low, high = normal_quantile(u)
    assert low == -high and abs(low - special.ndtri(2.0**-53)) < 1e-13


def test_quantile_against_references() -> None:
    """The normal quantile agrees with scipy and with the standard library to 2e-15, in every branch."""
    u = np.concatenate(
        [np.linspace(2**-20, 1 - 2**-20, 20_001), 2.0 ** -np.arange(1, 53), 1 - 2.0 ** -np.arange(1, 53)]
    )
    assert np.abs(u - 0.5).min() < 1e-9 and u.min() < 1e-15
    ours = normal_quantile(u)
    assert np.all(np.abs(ours - special.ndtri(u)) <= 2e-15 * np.maximum(1, np.abs(ours)))
    library = [NormalDist().inv_cdf(float(x)) for x in u[::97]]
    assert np.all(np.abs(ours[::97] - library) <= 2e-15 * np.maximum(1, np.abs(ours[::97])))


@given(st.floats(min_value=2.0**-53, max_value=1.0, exclude_max=True))
def test_logarithm(x: float) -> None:
    """Our logarithm is within two units in the last place of the correctly rounded one."""
    assert abs(float(random_maps._log(np.array([x]))[0]) - np.log(x)) <= 2 * np.spacing(abs(np.log(x)))


@pytest.mark.parametrize(
    "shape", [(64, 64), (16, 16), (48, 16), (192, 384), (384, 192), (200, 400), (400, 200), (1, 32), (32, 1), (17, 512)]
)
def test_orthogonal_exactly(shape: tuple[int, int]) -> None:
    """As integers over a power of two, the map's rows (or columns) are orthogonal with nothing left over."""
    block, size = hadamard_block(shape), max(shape)
    unit = block if block * block >= 4 * size else block * block
    values = map_values("orthogonal", shape=shape, seed=9, layer="x").astype(np.float64)
    rows = values if shape[0] <= shape[1] else values.T / sqrt(shape[0] / shape[1])
    whole = np.rint(rows * unit)
    assert np.abs(rows * unit - whole).max() < 1e-3
    if shape[0] <= shape[1]:
        assert np.array_equal(rows * unit, whole)
    gram = whole.astype(np.int64) @ whole.astype(np.int64).T
    assert np.array_equal(gram, unit * unit * np.eye(min(shape), dtype=np.int64))


def test_orthogonal_mixes_everything() -> None:
    """Entries spread like a normal's whatever the block: few zeros, no giants, signs in balance, rows uncorrelated."""
    for dim in (192, 200, 496, 512):
        values = map_values("orthogonal", shape=(dim, 2 * dim), seed=4, layer="x") * sqrt(2 * dim)
        assert np.mean(values == 0) < 0.15
        assert np.abs(values).max() < 7
        assert abs(np.mean(np.sign(values))) < 5 / sqrt(values.size)


@pytest.mark.parametrize("shape", [(100, 50), (8, 8), (24, 24), (1, 1), (5, 999)])
def test_orthogonal_refuses_small_blocks(shape: tuple[int, int]) -> None:
    """A longer side that 16 does not divide is refused with the number and the way out."""
    with pytest.raises(ValueError, match=rf"divisible by 16, but got {max(shape)} .*another `freeze.scheme`"):
        map_values("orthogonal", shape=shape, seed=1, layer="x")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_small(scheme: random_maps.Scheme) -> None:
    """A 1024 x 4096 map takes little memory beyond itself."""
    tracemalloc.start()
    map_values(scheme, shape=(1024, 4096), seed=1, layer="x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * 4 * 1024 * 4096


def test_maps_of_a_config() -> None:
    """A config's maps are those of its seeded weights, by name, from `freeze.seed` or else the trial's seed."""
    values = {"recipe": "selective", "seed": 5, "model": {"num_layers": 2, "dim": 32, "num_heads": 2}}
    config = TrialConfig.model_validate({**values, "freeze": {"layers": "1", "scheme": "uniform"}})
    maps = dict(seeded_maps(config))
    assert list(maps) == ["blocks.1.gate", "blocks.1.up"]
    expected = map_values("uniform", shape=(64, 32), seed=5, layer="blocks.1.up")
    assert np.array_equal(maps["blocks.1.up"], expected)
    own = dict(seeded_maps(TrialConfig.model_validate({**values, "freeze": {"seed": 0, "scheme": "uniform"}})))
    assert np.array_equal(own["blocks.1.up"], map_values("uniform", shape=(64, 32), seed=0, layer="blocks.1.up"))
    assert dict(seeded_maps(TrialConfig())) == {}
