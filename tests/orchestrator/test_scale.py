"""One file, two sizes: what `scale` divides, sets and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.search import plan
from orchestrator.spec import load_sweep
from orchestrator.sweep import Scaled
from search_spaces import loader

SWEEP = """\
name: sizes
scales:
  cpu:
    set: {data: small, optimizer: {learning_rate: 2e-3}}
    divide: {model.dim: 4, train.steps: 10, adapter.rank: 4}
base:
  data: large
  model: {num_heads: 4, vocab_size: 512}
  train: {steps: 3000}
space:
  recipe: {choice: [baseline, full_adapter]}
  adapter.rank: {choice: [8, 16]}
cases:
  - when: {recipe: baseline}
    space: {model: {choice: [{dim: 192}, {dim: 256}]}}
  - when: {recipe: full_adapter}
    space: {model.dim: {steps: [64, 128, 64]}}
  - when: {recipe: full_adapter, model.dim: 64}
    space: {model.dropout: {choice: [0.1, 0.2]}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sizes.yaml"
    path.write_text(text)
    return path


def rows(path: Path, scale: str | None = None) -> list[tuple[object, ...]]:
    configs = [trial.config for trial in plan(load_sweep(path, scale))]
    ranks = [config.adapter.rank if config.adapter else None for config in configs]
    return [
        (c.recipe, c.model.dim, rank, c.model.dropout, c.train.steps, c.data)
        for c, rank in zip(configs, ranks, strict=True)
    ]


def test_a_scale_divides_wherever_the_file_sets_a_number(tmp_path: Path) -> None:
    """Base, choices, steps, sections and conditions shrink alike, so each row has its twin; `set` changes the base."""
    path = write(tmp_path, SWEEP)
    large, small = rows(path), rows(path, "cpu")
    assert len(large) == 2 + 2 * 3
    assert small == [
        (recipe, dim // 4, rank and rank // 4, dropout, steps // 10, "small")
        for recipe, dim, rank, dropout, steps, _ in large
    ]
    assert load_sweep(path, "cpu").base["optimizer"] == {"learning_rate": 2e-3}


def test_one_key_of_the_file_chooses_the_scale(tmp_path: Path) -> None:
    """`scale: cpu` is the same as asking for it, and asking for `published` undoes it."""
    path = write(tmp_path, SWEEP + "scale: cpu\n")
    assert rows(path) == rows(write(tmp_path, SWEEP), "cpu")
    assert rows(write(tmp_path, SWEEP + "scale: cpu\n"), "published") == rows(write(tmp_path, SWEEP))


def test_a_scaled_sweep_says_so_and_reads_back(tmp_path: Path) -> None:
    """Its name has the scale behind it, and what it was divided by is kept with it."""
    spec = load_sweep(write(tmp_path, SWEEP), "cpu")
    again = load_sweep(write(tmp_path, loader.dump(spec.resolved())))
    assert spec.name == again.name == "sizes_cpu"
    divide = {"model.dim": 4, "train.steps": 10, "adapter.rank": 4}
    assert spec.scaled == again.scaled == Scaled(name="cpu", divide=divide)
    assert again.resolved() == spec.resolved()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{choice: [8, 16]}", "{choice: [8, 18]}", "space.adapter.rank.choice[1]: must be divisible by 4 to be scaled"),
        ("model.dim: 4,", "model.dmi: 4,", "scales.cpu.divide.model.dmi: unknown key; did you mean dim?"),
        ("model.dim: 4,", "model.dim: 0,", "scales.cpu.divide.model.dim: must be a whole number from 1, but got 0"),
        ("model.dim: 4,", "recipe: 4,", "scales.cpu.divide.recipe: takes one of"),
        ("model.dim: 4,", "low_rank.rank: 4,", "scales.cpu.divide.low_rank.rank: divides nothing: this file does not"),
        ("divide:", "device:", "scales.cpu.device: unknown key; did you mean divide?"),
        ("  cpu:", "  gpu:", "scale: is no scale of this file, but got 'cpu'; did you mean gpu?"),
    ],
)
def test_what_cannot_be_scaled_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Each mistake has its place in the file and a reason."""
    with pytest.raises(SpecError) as caught:
        load_sweep(write(tmp_path, SWEEP.replace(old, new)), "cpu")
    assert message in str(caught.value)
