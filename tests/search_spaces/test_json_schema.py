"""The JSON Schema says of a sweep file what the reader says, as far as a schema can."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli.main import app
from search_spaces.json_schema import FILE, render, sweep_schema
from search_spaces.spec import yaml_document

SWEEPS = sorted(FILE.parent.rglob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(sweep_schema())


def test_the_shipped_schema_is_up_to_date() -> None:
    """The file in the package, and what the command prints, are what the models say today."""
    jsonschema.Draft202012Validator.check_schema(sweep_schema())
    assert FILE.read_text() == render() == CliRunner().invoke(app, ["schema"]).stdout


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_every_shipped_sweep_passes_and_names_it(path: Path) -> None:
    """A shipped file has no error, and no number that plain YAML 1.2 reads as text; its first line is for editors."""
    assert not [error.message for error in VALIDATOR.iter_errors(yaml_document.load(path).values)]
    assert not re.search(r"[:\[,] *\d+(_\d+)+ *([,\]}#]|$)", path.read_text(), re.MULTILINE)
    marker, _, schema = path.read_text().splitlines()[0].partition("=")
    assert marker == "# yaml-language-server: $schema" and (path.parent / schema).samefile(FILE)


@pytest.mark.parametrize(
    "text",
    [
        "bugdet: {trials: 3}",
        "base: {model: {dimm: 64}}",
        "base: {train: {steps: many}}",
        "base: {train: {steps: 0}}",
        "base: {recipe: selektive}",
        "base: {seed: 1}",
        "space: {model.dimm: {choice: [64]}}",
        "space: {model: {dim: {chioce: [64]}}}",
        "space: {model.dim: {choice: [64, x]}}",
        "space: {model.dim: {choice: []}}",
        "space: {model.dim: {range: [1]}}",
        "space: {recipe: {range: [1, 2]}}",
        "objectives: {ce: minimize}",
        "objectives: {loss: min}",
        "constraints: [total_bytes < 5]",
        "search: {method: bayes}",
        "seeds: 0",
        "cases: [{wehn: {recipe: baseline}, space: {model.dim: {choice: [64]}}}]",
    ],
)
def test_mistakes_are_flagged(text: str) -> None:
    """What the reader refuses for its shape, an editor underlines."""
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize(
    "text",
    [
        "space: {model: {choice: [{dim: 64}, {dim: 96}]}}",
        "space: {model: {dim: {grid: [64]}}, optimizer.learning_rate: {log_range: [0.0001, 0.1]}}",
        "base: {artifact: {bits_by_pattern: {blocks.*.down: 4}}, freeze: null}",
        "seeds: 3\nspace:\nnotes: why",
        "seeds: [1, 2]\nresources: {accelerator: H100, gpus: 0.5}",
        "resources: {accelerator: [A40, H100]}\nspace: {resources.accelerator: {choice: [[A40, H100], CPU]}}",
    ],
)
def test_right_files_are_not(text: str) -> None:
    """Nothing that the reader takes is underlined."""
    assert not [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]
