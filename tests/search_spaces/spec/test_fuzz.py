"""Any file at all gives an error with its place, or a plan: never a traceback, never a long wait."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import random
import struct
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.cli.plan import plan as plan_command
from search_spaces.configs import draw_check
from search_spaces.spec.config_keys import keys_of
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sections.resources import TrialKeys
from search_spaces.spec.sweep_file import SweepFile
from search_spaces.spec.sweep_spec import OBJECTIVES

NUM_CASES = 20_000  # six minutes of one core
NUM_QUICK_CASES = 150
MAX_MILLISECONDS = 5_000  # of one case: a guard against hanging

WORDS = sorted(
    {
        *SweepFile.model_fields,
        *keys_of(TrialKeys),
        *(part for key in keys_of(TrialKeys) for part in key.split(".")),
        *OBJECTIVES,
        *("choice", "grid", "range", "log_range", "steps", "when", "space", "set", "divide", "method", "random"),
        *("baseline", "selective", "ensemble", "min", "max", "any", "CPU", "cpu", "published", "trials", "<<"),
    }
)
PIECES = [
    ": ",
    "\n",
    "\n  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!x ",
    "|",
    ">",
    "'",
    '"',
    "#",
    "1e999",
    "é",
    "\t",
    "\x1b",
    "?",
]
LIMITS = [f"{column} {op} {bound}" for column in OBJECTIVES for op in ("<=", ">=") for bound in ("100", "-5", "1e999")]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([0, -1, 10**9, 10**15, 10**30, 10**400, -(10**400), 2**63, 2**64]),
    st.floats(),
    st.sampled_from([5e-324, 1e-320, 1e300, 1.7e308, -0.0, 0.1, 1e-3, float("inf"), float("nan")]),
    st.sampled_from(WORDS + LIMITS),
    st.text(max_size=20),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
VALID: dict[str, Any] = {
    "name": "night",
    "notes": "why",
    "scale": "published",
    "scales": {"cpu": {"set": {"train": {"steps": 4}}, "divide": {"model.dim": 2}}},
    "objectives": {"ce": "min", "artifact_bytes": "min"},
    "constraints": ["total_bytes <= 16_000_000", "ce >= 1"],
    "search": {"method": "random", "seed": 3},
    "budget": {"trials": 5},
    "seeds": [1, 2],
    "admission": {"max_expected_ratio": 2.0},
    "resources": {"accelerator": "any", "cpus": 1, "gpus": 0},
    "base": {
        "model": {"num_heads": 4, "dim": 64},
        "train": {"steps": 20, "batch_sequences": 8},
        "eval": {"tokens": 512},
    },
    "space": {
        "recipe": {"choice": ["baseline", "selective", "full_adapter"]},
        "model.num_layers": {"grid": [1, 2]},
        "optimizer.learning_rate": {"log_range": [1e-4, 1e-2]},
        "schedule.final_ratio": {"range": [0.0, 0.5]},
        "model.mlp_ratio": {"steps": [1.0, 3.0, 0.5]},
        "train": {"choice": [{"micro_batches": 1}, {"micro_batches": 2, "clip_norm": 0.5}]},
    },
    "cases": [
        {"when": {"recipe": "selective"}, "space": {"freeze.scheme": {"choice": ["normal", "orthogonal"]}}},
        {"when": {"recipe": ["full_adapter"]}, "space": {"adapter.rank": {"range": [2, 16]}}},
    ],
}


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every node of a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [at, *(place for key, value in inner for place in places(value, (*at, key)))][0 if at else 1 :]


PLACES = places(VALID)


def as_text(tree: Any) -> str:
    return str(yaml.safe_dump(tree, default_flow_style=None, allow_unicode=True, width=10_000))


SEEDS = st.integers(0, 2**63)
TEXTS = st.one_of(
    SEEDS.map(lambda seed: random_text(random.Random(seed))),
    TREES.map(as_text),
    st.dictionaries(st.sampled_from(WORDS), TREES, max_size=5).map(as_text),
    st.text(st.sampled_from("abe:#-*&!|>%@`'\"{}[],.<~?= \n\t019_") | st.characters(), max_size=60),
    st.lists(st.sampled_from([*WORDS, ": ", "\n", "\n  ", "- ", "{", "}", "[", "]", "&a ", "*a", "!!x ", "|", "1e999"]))
    .map("".join),
)  # fmt: skip


def answers(text: str, folder: Path) -> None:
    """Plan the file; it must be planned, or refused with a place for every problem."""
    path = folder / "night.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        plan_command(path, rows=5)
    except SpecError as error:
        assert error.problems
        assert all(line.startswith(str(path)) for line in str(error).splitlines() if line[:1] != " "), str(error)


LIMITED = settings(
    deadline=MAX_MILLISECONDS,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@settings(LIMITED, max_examples=NUM_QUICK_CASES)
@given(text=TEXTS)
def test_any_file_is_answered(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Some files of every kind: nearly right ones, trees of known keys, any text."""
    answers(text, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_thousand_files_are_answered(tmp_path: Path) -> None:
    """Many more files, on all cores; fewer draws look for values that are never valid, so that it takes minutes."""
    num_processes = os.cpu_count() or 1
    seeds = [range(start, NUM_CASES, num_processes) for start in range(num_processes)]
    with ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("fork")) as pool:
        assert sum(pool.map(answer_all, seeds, [tmp_path] * num_processes)) == NUM_CASES


def answer_all(seeds: range, folder: Path) -> int:
    """Try the file of every seed; how many there were."""
    own = folder / str(seeds.start)
    own.mkdir()
    with mock.patch.object(draw_check, "NUM_DRAWS", 20), redirect_stdout(io.StringIO()) as printed:
        for seed in seeds:
            text, began = random_text(random.Random(seed)), time.monotonic()
            answers(text, own)
            assert 1_000 * (time.monotonic() - began) < MAX_MILLISECONDS, text
            printed.truncate(0)
    return len(seeds)


def random_text(rng: random.Random) -> str:
    """A right sweep of which one to three values were replaced, or were given a new key; else a tree, or any words."""
    kind = rng.random()
    if kind < 0.1:
        return "".join(rng.choices([*WORDS, *PIECES], k=rng.randrange(30)))
    if kind < 0.3:
        return as_text(random_tree(rng, 4))
    tree = copy.deepcopy(VALID)
    for place in rng.sample(PLACES, rng.randrange(1, 4)):
        parent: Any = tree
        try:
            for key in place[:-1]:
                parent = parent[key]
            key = rng.choice(WORDS) if isinstance(parent, dict) and rng.random() < 0.2 else place[-1]
            parent[key] = random_tree(rng, 3)
        except (KeyError, IndexError, TypeError):  # an earlier replacement took the place away
            continue
    return as_text(tree)


def random_tree(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth == 0 or kind < 0.6:
        return rng.choice(
            [
                rng.randrange(-3, 300),
                rng.choice([None, True, False, "", [], {}]),
                rng.choice([10**9, 10**15, 10**30, 10**400, -(10**400), 2**63, 2**64]),
                struct.unpack("<d", rng.randbytes(8))[0],
                rng.choice([5e-324, 1e-320, 1e300, -0.0, 0.1, 1e-3, float("inf"), float("nan")]),
                rng.choice(WORDS + LIMITS),
                "".join(rng.choices(PIECES, k=rng.randrange(8))),
            ]
        )
    if kind < 0.8:
        return [random_tree(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): random_tree(rng, depth - 1) for _ in range(rng.randrange(4))}


def test_every_single_value_may_be_odd(tmp_path: Path) -> None:
    """Each value of a right file replaced by each of many odd ones, one at a time (a sample of all pairs)."""
    odd = [None, True, -1, 0, 1.5, "", "x", [], [[]], {}, {"a": 1}, 10**15, 10**30, 10**400, 1e300, float("nan")]
    pairs = [(place, value) for place in PLACES for value in odd]
    for place, value in random.Random(0).sample(pairs, 250):
        tree = copy.deepcopy(VALID)
        parent: Any = tree
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
        answers(as_text(tree), tmp_path)


def test_the_file_that_is_altered_is_right(tmp_path: Path) -> None:
    """Without an alteration the file plans: what the other tests refuse is their own doing."""
    path = tmp_path / "night.yaml"
    path.write_text(as_text(VALID))
    plan_command(path, rows=5)
