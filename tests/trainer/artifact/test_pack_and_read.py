from __future__ import annotations

import ast
import fnmatch
import hashlib
import json
import pickle
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.artifact import decode as decode_module
from trainer.artifact import pack as pack_module
from trainer.artifact.code_size import code_bytes
from trainer.artifact.codecs import CODECS, RAW, compress
from trainer.artifact.codes import dequantize
from trainer.artifact.encode import encode_payload
from trainer.artifact.file_format import CONFIG_CODEC, FIELDS, HEADER_BYTES, MAGIC, PREFIX, sealed
from trainer.artifact.pack import PackReport, pack
from trainer.artifact.payload import PayloadError, decode_payload
from trainer.artifact.quantization import quantize
from trainer.artifact.read import read
from trainer.config.trial import TrialConfig
from trainer.errors import ArtifactError
from trainer.frozen.random_maps import map_values
from trainer.recipes.variants import plan
from trainer.recipes.weight_shapes import weight_shapes
from trainer.recipes.weight_storage import Stored, raw_bytes, stored_weights

DATA = hashlib.sha256(b"data").hexdigest()
SMALL = {"vocab_size": 32, "num_layers": 2, "dim": 16, "num_heads": 2}
TINY = {"vocab_size": 16, "num_layers": 1, "dim": 8, "num_heads": 1}

Weights = dict[str, npt.NDArray[np.float32]]


def config_of(recipe: str = "selective", model: dict[str, Any] | None = None, **artifact: Any) -> TrialConfig:
    values = {"recipe": recipe, "model": {**SMALL, **(model or {})}, "artifact": artifact}
    return TrialConfig.model_validate(values)


def weights_of(config: TrialConfig, draw: Callable[[tuple[int, ...]], Any] | None = None) -> Weights:
    rng = np.random.default_rng(0)
    draw = draw or (lambda shape: 0.02 * rng.standard_normal(shape))
    return {name: np.asarray(draw(w.shape), dtype=np.float32) for name, w in stored_weights(config).items()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tiny") / "artifact.frost"
    config, rng = config_of(model=TINY, codec="zlib"), np.random.default_rng(0)
    # of five values each, so that they compress: noise of this size is kept uncompressed
    report = pack(config, weights_of(config, lambda shape: rng.integers(-2, 3, shape)), data_sha256=DATA, path=path)
    assert report.codec == "zlib"
    return path.read_bytes()


def refusal(path: Path, content: bytes) -> str:
    """What `read` says of a file with this content: it must refuse it in one line that names it."""
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} ") and "\n" not in message and len(message) < len(str(path)) + 300
    return message.removeprefix(f"{path} ")


@pytest.mark.parametrize("codec", ["auto", *CODECS])
@pytest.mark.parametrize(("matrix_bits", "embedding_bits"), [(8, 8), (6, 8), (8, 6), (6, 6), (8, 16), (6, 16)])
@pytest.mark.parametrize("family", ["study", "competition"])
def test_round_trip(tmp_path: Path, codec: str, matrix_bits: int, embedding_bits: int, family: str) -> None:
    """Every weight comes back as its own width makes it, and the config, data and maps exactly."""
    matrices = ["gate"] if family == "study" else ["fc"]
    config = TrialConfig.model_validate(
        {
            "recipe": "selective",
            "seed": 11,
            "model": {**SMALL, "family": family},
            "freeze": {"matrices": matrices, "layers": "1", "scheme": "orthogonal"},
            "artifact": {"matrix_bits": matrix_bits, "embedding_bits": embedding_bits, "codec": codec},
        }
    )
    weights, path = weights_of(config), tmp_path / "a.frost"
    report = pack(config, weights, data_sha256=DATA, path=path)
    artifact = read(path)
    assert artifact.config == config and artifact.data_sha256 == DATA and artifact.codec == report.codec
    assert artifact.seeded == (f"blocks.1.{matrices[0]}",)
    expected = map_values("orthogonal", shape=(32, 16), seed=11, layer=artifact.seeded[0])
    assert np.array_equal(artifact.maps[artifact.seeded[0]], expected)
    assert list(artifact.weights) == [name for name in weight_shapes(config.model) if name not in artifact.seeded]
    for name, values in weights.items():
        bits = (
            embedding_bits if name == "embedding" else matrix_bits if values.shape[0] >= 8 and values.ndim == 2 else 16
        )
        as_kept = values.astype(np.float16).astype(np.float32) if bits == 16 else dequantize(quantize(values, bits))
        assert artifact.weights[name].dtype == np.float32 and np.array_equal(artifact.weights[name], as_kept)


def test_report_tells_the_truth(tmp_path: Path) -> None:
    """Sizes and hash are those of the file on disk; `auto` keeps the smallest of all codecs; parts add up."""
    config = config_of(model={"dim": 64}, matrix_bits=6)
    weights = weights_of(config)
    report = pack(config, weights, data_sha256=DATA, path=tmp_path / "a.frost")
    content = (tmp_path / "a.frost").read_bytes()
    assert report.artifact_bytes == len(content) and report.sha256 == hashlib.sha256(content).hexdigest()
    assert set(report.bytes_by_codec) == set(CODECS) and report.header_bytes < 800
    assert report.artifact_bytes == report.bytes_by_codec[report.codec] == min(report.bytes_by_codec.values())
    assert report.num_params_stored == sum(values.size for values in weights.values())
    assert report.bytes_per_param == len(content) / report.num_params_stored
    assert report.raw_bytes == raw_bytes(config, report.layout)
    artifact = read(tmp_path / "a.frost")
    assert (artifact.sha256, artifact.artifact_bytes) == (report.sha256, len(content))
    for codec in CODECS:
        fixed = config_of(model={"dim": 64}, matrix_bits=6, codec=codec)
        one = pack(fixed, weights, data_sha256=DATA, path=tmp_path / "b.frost")
        assert one.codec == codec and list(one.bytes_by_codec) == [codec]


def test_same_input_same_bytes(tmp_path: Path) -> None:
    """Packing is canonical: twice the same input, in any order of the mapping, gives the same file."""
    config = config_of()
    weights = weights_of(config)
    for name, given_weights in (("a", weights), ("b", dict(reversed(weights.items())))):
        pack(config, given_weights, data_sha256=DATA, path=tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    packed_again = pack(config, read(tmp_path / "a").weights, data_sha256=DATA, path=tmp_path / "c")
    assert packed_again.num_params_stored == sum(w.size for w in weights.values())


def test_seeded_weights_cost_nothing(tmp_path: Path) -> None:
    """A frozen matrix takes no byte of the payload: what is stored shrinks by exactly its codes and scales."""
    learned, frozen = config_of("baseline"), config_of("selective")
    names = plan(frozen).names("seeded")
    shapes = weight_shapes(frozen.model)
    saved = sum(prod(shapes[name]) + 2 * shapes[name][0] for name in names)
    assert len(names) == 4
    assert sum(raw_bytes(learned).values()) - sum(raw_bytes(frozen).values()) == saved


@pytest.mark.slow
def test_sizes_of_the_studys_models(tmp_path: Path) -> None:
    """12L 384d as files, of weights with nothing to compress: a byte for each that is learned, or its 6 bits.

    With gate and up at random values it is the 11.0 MB of 11,019,648 learned weights, where PR #1301 prints the 7.3 of
    a model whose whole MLP is random, and 10.2 MB if they are normal. Freezing them at trained values saves nothing,
    and fully learned at 6 bits the same shape is under 16 MB with the code. All by zlib, the fastest codec.
    """
    shape, rng = {"vocab_size": 1024, "num_layers": 12, "dim": 384, "num_heads": 6}, np.random.default_rng(0)

    def packed(recipe: str, draw: Callable[[tuple[int, ...]], Any], **artifact: Any) -> PackReport:
        config = config_of(recipe, shape, codec="zlib", **artifact)
        report = pack(config, weights_of(config, draw), data_sha256=DATA, path=tmp_path / recipe)
        assert report.artifact_bytes == (tmp_path / recipe).stat().st_size
        return report

    def level(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        return rng.uniform(-0.05, 0.05, shape)

    frozen = packed("selective", level)
    assert frozen.num_params_stored == 11_019_648
    assert 11_019_648 < frozen.artifact_bytes < 11_050_000
    assert 10_200_000 < packed("selective", rng.standard_normal).artifact_bytes < 10_250_000
    learned, progressive = packed("baseline", level), packed("progressive", level)
    bodies = [report.artifact_bytes - report.header_bytes for report in (learned, progressive)]
    assert abs(bodies[0] - bodies[1]) < 1_000 and bodies[0] > 18_097_536
    assert abs(learned.header_bytes - progressive.header_bytes) < 100
    narrow = packed("baseline", level, matrix_bits=6, embedding_bits=6)
    assert narrow.artifact_bytes > 13_573_152 and narrow.artifact_bytes + code_bytes() < 16_000_000


def test_layout_rule(tmp_path: Path) -> None:
    """Bell-shaped codes of 2 and 4 bits are packed; of 3, 5, 6 and 7 they lie a byte each. All come back."""
    rng = np.random.default_rng(0)
    for bits in range(2, 8):
        config = config_of("baseline", model={"dim": 64}, matrix_bits=bits, embedding_bits=8, codec="zlib")
        weights = weights_of(config, rng.standard_normal)
        report = pack(config, weights, data_sha256=DATA, path=tmp_path / "a")
        assert report.layout == ({bits} if bits in (2, 4) else set())
        assert np.array_equal(
            read(tmp_path / "a").weights["blocks.1.o"], dequantize(quantize(weights["blocks.1.o"], bits))
        )


@pytest.mark.parametrize("codec", ["auto", *CODECS])
def test_incompressible_weights_are_kept_as_they_are(tmp_path: Path, codec: str) -> None:
    """Where no codec makes the packed weights smaller they are stored without one, and cost their bits alone."""
    config = config_of("baseline", model=TINY, matrix_bits=6, embedding_bits=6, codec=codec)
    rng = np.random.default_rng(0)

    def noise(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        span = 14 if len(shape) == 1 else 100
        scales = 2.0 ** rng.uniform(-span, span, shape if len(shape) == 1 else (shape[0], 1))
        return np.asarray(scales * rng.uniform(-1, 1, shape))

    levels = weights_of(config, noise)
    report = pack(config, levels, data_sha256=DATA, path=tmp_path / "a")
    assert report.codec == RAW and report.layout == {6} and set(report.bytes_by_codec) > {RAW}
    assert report.artifact_bytes == report.header_bytes + sum(raw_bytes(config).values())
    artifact = read(tmp_path / "a")
    assert artifact.codec == RAW
    assert np.array_equal(artifact.weights["embedding"], dequantize(quantize(levels["embedding"], 6)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    widths=st.tuples(st.integers(2, 8), st.sampled_from([2, 3, 4, 5, 6, 7, 8, 16]), st.integers(2, 8)),
    group_size=st.sampled_from([None, 8, 9, 16, 31, 32, 500]),
    clip=st.sampled_from([{}, {"clip_std": 2.0}, {"clip_std": 12.85}, {"clip_percentile": 99.99984}]),
    family=st.sampled_from(["study", "competition"]),
    level=st.booleans(),
)
def test_round_trip_of_every_setting(
    tmp_path: Path,
    widths: tuple[int, int, int],
    group_size: int | None,
    clip: dict[str, float],
    family: str,
    level: bool,
) -> None:
    """Any mixture of widths, groups and clips comes back weight by weight as its own settings make it."""
    config = config_of(
        "baseline",
        model={"family": family, "dim": 24},
        matrix_bits=widths[0],
        embedding_bits=widths[1],
        bits_by_pattern={"blocks.1.[qk]": widths[2], "*.o": 16},
        group_size=group_size,
        codec="zlib",
        **clip,
    )
    rng = np.random.default_rng(sum(widths))
    weights = weights_of(config, (lambda shape: rng.uniform(-1, 1, shape)) if level else None)
    report = pack(config, weights, data_sha256=DATA, path=tmp_path / "a")
    artifact = read(tmp_path / "a")
    assert artifact.config == config
    matrices = ("q", "k", "v", "o", "gate", "up", "down", "fc", "proj")
    for name, values in weights.items():
        last = name.rpartition(".")[2]
        bits = widths[1] if name == "embedding" else widths[0] if last in matrices else 16
        bits = 16 if last == "o" else widths[2] if name in ("blocks.1.q", "blocks.1.k") else bits
        if bits == 16:
            as_kept = values.astype(np.float16).astype(np.float32)
        else:
            as_kept = dequantize(quantize(values, bits, group_size=group_size, **clip))
        assert np.array_equal(artifact.weights[name], as_kept), name
    assert report.artifact_bytes <= report.header_bytes + sum(raw_bytes(config).values())


@pytest.mark.parametrize("recipe", ["full_adapter", "low_rank", "progressive", "ensemble", "distill"])
def test_names_of_every_recipe_take_patterns(tmp_path: Path, recipe: str) -> None:
    """Corrections, branches, members and frozen weights are stored, and patterned, by their names in the artifact."""
    patterns = {"full_adapter": "*.lora_a", "low_rank": "*.branch_in", "ensemble": "member1.*.q"}
    values: dict[str, Any] = {"recipe": recipe, "model": {**SMALL, "mlp": "gelu" if recipe == "low_rank" else "geglu"}}
    values |= {"full_adapter": {"adapter": {"kind": "lora", "rank": 2}}, "low_rank": {"low_rank": {"rank": 3}}}.get(
        recipe, {}
    )
    pattern = patterns.get(recipe, "blocks.*.down")
    values["artifact"] = {"bits_by_pattern": {pattern: 3}, "group_size": 8}
    config = TrialConfig.model_validate(values)
    narrow = [name for name, weight in stored_weights(config).items() if weight.bits == 3]
    assert narrow and all(fnmatch.fnmatchcase(name, pattern) for name in narrow)
    weights = weights_of(config)
    pack(config, weights, data_sha256=DATA, path=tmp_path / "a")
    back = read(tmp_path / "a").weights
    assert np.array_equal(back[narrow[0]], dequantize(quantize(weights[narrow[0]], 3, group_size=8)))


def test_fresh_process_reads_the_same(tmp_path: Path, tiny: bytes) -> None:
    """A cold process gets the same weights and maps, bit for bit."""
    path = tmp_path / "a.frost"
    path.write_bytes(tiny)
    code = (
        "import hashlib, pathlib, sys\n"
        "from trainer.artifact.read import read\n"
        "a = read(pathlib.Path(sys.argv[1]))\n"
        "assert 'torch' not in sys.modules\n"
        "print(hashlib.sha256(b''.join(w.tobytes() for w in [*a.weights.values(), *a.maps.values()])).hexdigest())\n"
    )
    shown = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    here = read(path)
    every = b"".join(w.tobytes() for w in [*here.weights.values(), *here.maps.values()])
    assert shown.stdout.strip() == hashlib.sha256(every).hexdigest()


def test_wrong_weights_are_our_mistake(tmp_path: Path) -> None:
    """A missing, extra, misshapen or seeded weight is an assertion; nothing is written."""
    config = config_of()
    weights = weights_of(config)
    seeded = {"blocks.0.gate": np.zeros((32, 16), np.float32)}
    for wrong in ({}, weights | seeded, weights | {"final_norm": np.ones(15, np.float32)}):
        with pytest.raises(AssertionError):
            pack(config, wrong, data_sha256=DATA, path=tmp_path / "a.frost")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("blocks.1.q", np.nan, "`blocks.1.q` must be finite"),
        ("embedding", np.inf, "`embedding` must be finite"),
        ("final_norm", 1e6, "`final_norm` must be within fp16's"),
    ],
)
def test_values_that_cannot_be_stored(tmp_path: Path, name: str, value: float, message: str) -> None:
    """NaN, infinity and fp16 overflow are refused with the weight's name; a file that was there stays as it was."""
    config, path = config_of(), tmp_path / "a.frost"
    path.write_bytes(b"before")
    weights = weights_of(config)
    weights[name].flat[3] = value
    with pytest.raises(ValueError, match=message):
        pack(config, weights, data_sha256=DATA, path=path)
    assert path.read_bytes() == b"before"


def test_extreme_weights(tmp_path: Path) -> None:
    """Zeros, the smallest subnormal and float32's largest number survive a round trip in one model."""
    config = config_of("baseline")
    weights = weights_of(config, np.zeros)
    weights["blocks.0.q"][:] = np.finfo(np.float32).max
    weights["blocks.0.k"][:] = 1e-45
    pack(config, weights, data_sha256=DATA, path=tmp_path / "a.frost")
    back = read(tmp_path / "a.frost").weights
    assert not back["embedding"].any() and not back["blocks.0.k"].any()
    assert np.all(back["blocks.0.q"] > 3.3e38) and np.isfinite(back["blocks.0.q"]).all()


def test_too_large_a_model_is_refused(tmp_path: Path, tiny: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader would refuse for its size, `pack` refuses to write."""
    config = config_of()
    monkeypatch.setattr(pack_module, "MAX_PARAMS", 500)
    monkeypatch.setattr(decode_module, "MAX_PARAMS", 500)
    with pytest.raises(ValueError, match="at most 500 weights, but got"):
        pack(config, weights_of(config), data_sha256=DATA, path=tmp_path / "a.frost")
    assert "declares a model of" in refusal(tmp_path / "b.frost", tiny)
    monkeypatch.setattr(decode_module, "MAX_FILE_BYTES", 500)
    assert "is too large" in refusal(tmp_path / "b.frost", tiny + bytes(1000))


def test_any_flipped_byte(tmp_path: Path, tiny: bytes) -> None:
    """A change of any one byte of the file is one clear error."""
    path = tmp_path / "a.frost"
    masks = np.random.default_rng(0).integers(1, 256, len(tiny))
    for place in range(len(tiny)):
        bad = bytearray(tiny)
        bad[place] ^= masks[place]
        message = refusal(path, bytes(bad))
        assert message.startswith(
            "is no frostline artifact" if place < 4 else "has artifact format" if place == 4 else "is damaged"
        )


def test_any_truncation(tmp_path: Path, tiny: bytes) -> None:
    """A file cut at any length is one clear error, from empty to one byte short."""
    path = tmp_path / "a.frost"
    messages = [refusal(path, tiny[:length]) for length in range(len(tiny))]
    assert messages[0] == "is no frostline artifact: it is empty"
    assert all(message.startswith("is cut short") for message in messages[5:HEADER_BYTES])
    assert all(message.startswith("is damaged") for message in messages[HEADER_BYTES:])


def test_appended_bytes(tmp_path: Path, tiny: bytes) -> None:
    """Bytes behind the end, or the file twice, are an error."""
    for more in (b"\0", b"\n", tiny):
        assert refusal(tmp_path / "a.frost", tiny + more).startswith("is damaged")


def test_other_files(tmp_path: Path) -> None:
    """A text, a pickle, an archive, a folder and a missing file are each refused for what they are."""
    others = [b"model: gpt\n", pickle.dumps({"a": 1}), b"PK\x03\x04" + bytes(200), b"\x89PNG\r\n\x1a\n", b"F", b"FRS"]
    for content in others:
        assert refusal(tmp_path / "a.frost", content) == "is no frostline artifact"
    with pytest.raises(ArtifactError, match=r"is no file$"):
        read(tmp_path)
    with pytest.raises(ArtifactError, match=r"absent\.frost does not exist$"):
        read(tmp_path / "absent.frost")


def test_other_formats(tmp_path: Path, tiny: bytes) -> None:
    """A file of an earlier or later format is told from a damaged one."""
    for other in (1, 4):
        content = tiny[:4] + bytes([other]) + tiny[5:]
        said = refusal(tmp_path / "a", content)
        assert said == f"has artifact format {other}, but this frostline reads formats 2 and 3 only"


def test_format_2_of_an_odd_depth_is_refused(tmp_path: Path) -> None:
    """An earlier version added the skips of an odd depth at other layers: its file would score another network."""
    config = config_of("baseline", {"family": "competition", "num_layers": 3})
    pack(config, weights_of(config), data_sha256="ab" * 32, path=tmp_path / "a.frost")
    content = (tmp_path / "a.frost").read_bytes()
    assert content[4] == 3
    read(tmp_path / "a.frost")
    assert "one layer late; train it again" in refusal(tmp_path / "b.frost", sealed(content[PREFIX.size :], 2))


def test_no_pickle() -> None:
    """Neither the artifact nor its payload import anything that could run what a file says."""
    for name in ("pack", "read", "file_format", "payload", "codecs", "quantization"):
        tree = ast.parse((Path(pack_module.__file__).parent / f"{name}.py").read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"pickle", "marshal", "shelve", "torch", "importlib"}
        assert not re.search(r"\bload\(", ast.unparse(tree))


# Hostile files: everything below carries the right checksum, so the checks behind it are what holds.


def forge(
    tiny: bytes, *, config: bytes | None = None, payload: bytes | None = None, version: int = 2, **changes: Any
) -> bytes:
    """`tiny` with another config text, raw payload or header fields, lengths and checksum put right unless given."""
    names = ("codec", "layout", "config_raw", "config_packed", "payload_raw", "data", "maps")
    fields = dict(zip(names, FIELDS.unpack_from(tiny, PREFIX.size), strict=True))
    split = HEADER_BYTES + fields["config_packed"]
    packed_config, packed_payload = tiny[HEADER_BYTES:split], tiny[split:]
    if config is not None:
        packed_config = compress(CONFIG_CODEC, config)
        fields |= {"config_raw": len(config), "config_packed": len(packed_config)}
    if payload is not None:
        packed_payload = compress("zlib", payload)
        fields["payload_raw"] = len(payload)
    fields |= changes
    return sealed(FIELDS.pack(*fields.values()) + packed_config + packed_payload, version)


def config_text(**changes: Any) -> bytes:
    """The config of `tiny`, with fields replaced that no constructor would let pass."""
    config = config_of(model=TINY, codec="zlib").model_dump(mode="json")
    for key, value in changes.items():
        section, _, name = key.partition("__")
        config[section] = {**config[section], name: value} if name else value
    return json.dumps(config).encode()


def test_forging_itself_works(tmp_path: Path, tiny: bytes) -> None:
    """Without a change a forged file is the file, so what the other tests see refused is the change."""
    assert forge(tiny) == tiny
    (tmp_path / "a").write_bytes(forge(tiny, config=config_text(train__steps=7)))
    assert read(tmp_path / "a").config.train.steps == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codec": 5}, "unknown codec (5)"),
        ({"codec": 255}, "unknown codec (255)"),
        ({"codec": 4}, "none data must hold exactly"),
        ({"layout": 2}, "unknown layout (2)"),
        ({"layout": 64}, "unknown layout (64)"),
        ({"layout": 255}, "unknown layout (255)"),
        ({"codec": 1}, "zstd data"),
        ({"config_packed": 2**32 - 1}, "declares a config of 4294967295 bytes"),
        ({"config_packed": 0}, "brotli data"),
        ({"config_packed": 5}, "brotli data"),
        ({"config_raw": 2**32 - 1}, "which cannot be"),
        ({"config_raw": 0}, "brotli data"),
        ({"config_raw": 65_536}, "brotli data"),
        ({"payload_raw": 0}, "declares a payload of 0 bytes"),
        ({"payload_raw": 2**64 - 1}, "declares a payload of 18446744073709551615 bytes"),
        ({"maps": bytes(32)}, "was trained with other seeded maps"),
        ({"payload": b""}, "declares a payload of 0 bytes"),
        ({"config": b""}, "has a config that this frostline refuses"),
        ({"config": b"{"}, "has a config that this frostline refuses"),
        ({"config": b"[]"}, "has a config that this frostline refuses"),
        ({"config": b"[" * 60_000}, "has a config that this frostline refuses"),
        ({"config": b'{"model":' * 7_000}, "has a config that this frostline refuses"),
        ({"config": b"\xff\xfe\0"}, "has a config that this frostline refuses"),
        ({"config": b"9" * 60_000}, "has a config that this frostline refuses"),
        ({"config": bytes(65_537)}, "declares a config of"),
        ({"config": config_text(surprise=1)}, "refuses (surprise: Extra inputs are not permitted)"),
        ({"config": config_text(recipe="distil")}, "refuses (recipe: Input should be"),
        ({"config": config_text(model__dim=-16)}, "refuses (model.dim:"),
        ({"config": config_text(model__dim=2**70)}, "refuses (model.dim:"),
        ({"config": config_text(model__num_layers=3, freeze__layers="0")}, "its config's shapes make"),
        ({"config": config_text(model__dim=16_384, model__num_layers=256)}, "declares a model of"),
        ({"config": config_text(freeze__seed=5)}, "was trained with other seeded maps"),
        ({"config": config_text(freeze__layers="0-9")}, "refuses (as a whole:"),
        ({"config": config_text(artifact__group_size=8)}, "its config's shapes make"),
        ({"config": config_text(artifact__bits_by_pattern=["*=16"])}, "its config's shapes make"),
        ({"config": config_text(artifact__bits_by_pattern=["x=4"])}, "refuses (as a whole:"),
        ({"config": config_text(artifact__bits_by_pattern=["*a" * 50 + "=4"] * 65)}, "refuses (artifact.bits_by"),
        ({"config": config_text(artifact__matrix_bits=6)}, "holds codes in `blocks.0.q` beyond ±31"),
    ],
)
def test_hostile_headers(tmp_path: Path, tiny: bytes, changes: dict[str, Any], message: str) -> None:
    """A header that lies, with a right checksum, is refused before a byte is allocated for what it claims."""
    content = forge(tiny, **changes)
    tracemalloc.start()
    said = refusal(tmp_path / "a.frost", content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message in said
    assert peak < 4 << 20


def test_hostile_map_that_cannot_be_made(tmp_path: Path, tiny: bytes) -> None:
    """A frozen scheme that this shape cannot have is refused with the rule's own words, before any map is made."""
    content = forge(tiny, config=config_text(freeze__scheme="orthogonal", model__mlp_ratio=1.0))
    assert "orthogonal needs matrices whose longer side is divisible by 16" in refusal(tmp_path / "a", content)


@pytest.mark.parametrize("declared", ["small", "exact"])
def test_decompression_bomb(tmp_path: Path, tiny: bytes, declared: str) -> None:
    """A payload that unpacks to far more than the shapes make is refused after at most the declared length."""
    size = FIELDS.unpack_from(tiny, PREFIX.size)[4]
    bomb = forge(tiny, payload=bytes(1 << 24), payload_raw=size if declared == "exact" else 100)
    tracemalloc.start()
    said = refusal(tmp_path / "a.frost", bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "zlib data must hold exactly" in said if declared == "exact" else "declares a payload" in said
    assert peak < 4 << 20


STORED = {"m": Stored(shape=(2, 3), bits=8), "s": Stored(shape=(1, 2), bits=6), "v": Stored(shape=(2,), bits=16)}
BYTES = frozenset[int]()


@pytest.mark.parametrize(
    ("place", "octet", "message"),
    [
        (0, 0x80, "codes in `m` beyond ±127"),
        (6, 32, "codes in `s` beyond ±31"),
        (7, 0xE0, "codes in `s` beyond ±31"),
        (12, 0xFF, "scale that is no number"),
        (13, 0x80, "scale that is no number"),
        (17, 0x7C, "values in `v` that are not finite"),
        (17, 0xFE, "values in `v` that are not finite"),
    ],
)
def test_bodies_no_weights_could_give(place: int, octet: int, message: str) -> None:
    """Codes out of range, negative or non-finite scales, and infinite or NaN values are refused with the weight's name.

    The payload: 6 codes, 2 codes of six bits, low bytes of 3 scales (8-10), high bytes (11-13), 2 fp16 (14-15, 16-17).
    """
    weights = {name: np.ones(stored.shape, np.float32) for name, stored in STORED.items()}
    layout, payload = encode_payload(STORED, weights, BYTES)
    assert layout == BYTES and len(payload) == 18
    bad = bytearray(payload)
    bad[place] = octet
    if place == 12:
        bad[9] = 0xC0  # with the high byte 0xFF: a negative NaN
    with pytest.raises(PayloadError, match=message):
        decode_payload(STORED, BYTES, bytes(bad))


def test_bits_behind_the_last_packed_code() -> None:
    """Packed codes have one form: a bit set behind the last of them is refused with the weight's name."""
    weights = {name: np.ones(stored.shape, np.float32) for name, stored in STORED.items()}
    layout, payload = encode_payload(STORED, weights, frozenset([6]))
    for bit in range(4, 8):
        bad = bytearray(payload)
        bad[7] |= 1 << bit
        with pytest.raises(PayloadError, match="holds bits behind the last code of `s`"):
            decode_payload(STORED, layout, bytes(bad))


def test_scale_that_overflows() -> None:
    """A scale so large that a code times it is infinite is refused, without a warning."""
    _, payload = encode_payload(
        STORED, {name: np.ones(stored.shape, np.float32) for name, stored in STORED.items()}, BYTES
    )
    bad = bytearray(payload)
    bad[11] = 0x7F
    bad[8] = 0x7F
    with pytest.raises(PayloadError, match="values in `m` that are not finite"):
        decode_payload(STORED, BYTES, bytes(bad))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=400))
def test_any_rest_with_a_right_checksum(tmp_path: Path, rest: bytes) -> None:
    """Random bytes under a right magic, version and checksum are one clear error."""
    refusal(tmp_path / "a.frost", sealed(rest, 2))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "codec": st.integers(0, 255),
            "layout": st.integers(0, 3),
            "config_raw": st.integers(0, 2**32 - 1),
            "config_packed": st.integers(0, 2**32 - 1),
            "payload_raw": st.integers(0, 2**64 - 1),
            "maps": st.binary(min_size=32, max_size=32),
        },
    ),
    place=st.integers(0, 10_000),
    octet=st.integers(0, 255),
)
def test_any_header_with_a_right_checksum(
    tmp_path: Path, tiny: bytes, fields: dict[str, Any], place: int, octet: int
) -> None:
    """Whatever a sealed file claims, `read` returns a whole artifact or refuses in one line, nothing else."""
    rest = bytearray(forge(tiny, **fields)[PREFIX.size :])
    rest[place % len(rest)] = octet
    path = tmp_path / "a.frost"
    path.write_bytes(sealed(bytes(rest), 2))
    try:
        artifact = read(path)
    except ArtifactError as error:
        assert "\n" not in str(error)
    else:
        assert {name: w.shape for name, w in artifact.weights.items()} == {
            name: stored.shape for name, stored in stored_weights(artifact.config).items()
        }


def test_magic_is_not_the_end_of_it(tmp_path: Path) -> None:
    """A file of zeros behind the magic and version is damaged, not an index error."""
    assert refusal(tmp_path / "a", MAGIC + b"\2" + bytes(HEADER_BYTES)).startswith("is damaged")
    assert refusal(tmp_path / "a", MAGIC).startswith("is cut short")
