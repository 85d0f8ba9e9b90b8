"""One file, two sizes: what `scale` divides, sets and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.search.planner import plan
from search_spaces.spec import yaml_document
from search_spaces.spec.load import load_sweep
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sweep_spec import Scaled

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


def errors(path: Path, scale: str | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        load_sweep(path, scale)
    return str(caught.value)


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
    again = load_sweep(write(tmp_path, yaml_document.dump(spec.resolved())))
    assert spec.name == again.name == "sizes_cpu"
    divide = {"model.dim": 4, "train.steps": 10, "adapter.rank": 4}
    assert spec.scaled == again.scaled == Scaled(name="cpu", divide=divide)
    assert again.resolved() == spec.resolved()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{choice: [8, 16]}", "{choice: [8, 18]}", "space.adapter.rank.choice[1]: must be divisible by 4 to be scaled"),
        ("model.dim: 4,", "model.dmi: 4,", "scales.cpu.divide.model.dmi: unknown key; did you mean dim?"),
        ("model.dim: 4,", "model.dim: 0,", "scales.cpu.divide.model.dim: must be at least 1, but got 0"),
        ("model.dim: 4,", "recipe: 4,", "scales.cpu.divide.recipe: takes one of"),
        ("model.dim: 4,", "low_rank.rank: 4,", "scales.cpu.divide.low_rank.rank: divides nothing: this file does not"),
        ("divide:", "device:", "scales.cpu.device: unknown key; did you mean divide?"),
        ("data: small", "data: 3", ":4: scales.cpu.set.data: must be text, but got 3; put it in quotes"),
        ("learning_rate:", "learning_rte:", "scales.cpu.set.optimizer.learning_rte: unknown key; did you mean learn"),
        ("data: small", "seed: 3", ":4: scales.cpu.set.seed: belongs to `seeds` at the top of the file"),
        ("{dim: 256}", "{dim: 48}", "for rotary positions, but got 3\n    at scale cpu; in the combination model: {"),
    ],
)
def test_what_cannot_be_scaled_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Each mistake has its place in the file and a reason, the same whichever scale is asked for."""
    path = write(tmp_path, SWEEP.replace(old, new))
    assert message in errors(path, "cpu")
    assert errors(path, "cpu") == errors(path, "published")


def test_a_scale_that_the_file_does_not_have_is_named(tmp_path: Path) -> None:
    """A misspelt name is answered with the names that there are; that of the file's own numbers cannot be taken."""
    taken = write(tmp_path, SWEEP.replace("cpu:", "published:"))
    assert "scales.published: is the name of the file's own numbers; choose another" in errors(taken)
    path = write(tmp_path, SWEEP)
    assert "scale: is no scale of this file, but got 'cqu'; did you mean cpu?" in errors(path, "cqu")
    assert "; this file knows published, cpu" in errors(path, "large")


def test_what_every_scale_has_is_told_once(tmp_path: Path) -> None:
    """A mistake that scales do not touch is one problem, and one that only a scale has says which."""
    text = SWEEP.replace("train: {steps: 3000}", "train: {steps: 3001, stpes: 1}")
    assert errors(write(tmp_path, text)).split("\n") == [
        f"{tmp_path}/sizes.yaml:9: base.train.stpes: unknown key; did you mean steps?",
        f"{tmp_path}/sizes.yaml:9: base.train.steps: must be divisible by 10 to be scaled, but got 3001; at scale cpu",
    ]
