"""Sweep and trial files: what a right one means, and every way of being wrong, said on one screen."""

from __future__ import annotations

import dataclasses
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.search.planner import plan
from search_spaces.spec import yaml_document
from search_spaces.spec.load import load_sweep, load_trial, problem_at
from search_spaces.spec.problems import SpecError

REPOSITORY = Path(__file__).resolve().parents[3]
SHIPPED = sorted((REPOSITORY / "search_spaces").rglob("*.yaml"))

FULL = """\
name: everything
objectives: {bpb: min, tokens_per_s: max}
constraints: [artifact_bytes <= 16_000_000, tokens_per_s >= 1.5e3]
search: {method: random, seed: 7}
budget: {trials: 40}
seeds: 3
resources: {accelerator: any, cpus: 2}
base:
  data: stdlib
  recipe: baseline
  model: &model {num_layers: 2, dim: 64, num_heads: 2}
  train: {steps: 1e3}
space:
  recipe: {grid: [baseline, selective]}
  optimizer.learning_rate: {log_range: [1e-4, 1e-2]}
  optimizer: {beta1: {range: [0.8, 0.95]}}
  model: {num_layers: {steps: [2, 6, 2]}}
  train.batch_sequences: {log_range: [1, 64]}
  resources.accelerator: {choice: [H100, A40]}
cases:
  - when: {recipe: selective}
    space: {freeze.scheme: {choice: [normal, orthogonal]}, freeze.matrices: {choice: [[gate], [gate, up]]}}
  - when: {freeze.matrices: [gate], model: {num_layers: [2, 4]}}
    space: {schedule.warmup_steps: {choice: [0, 100]}}
admission: {max_expected_ratio: 3}
"""


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(folder: Path, content: str | bytes, name: str = "sweep.yaml") -> Path:
    """A file named as from its own folder, as users do."""
    path = Path(name)
    assert path.resolve().parent == folder
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def errors(path: Path) -> str:
    """The text of a wrong sweep's error."""
    with pytest.raises(SpecError) as caught:
        load_sweep(path)
    return str(caught.value)


# The twelve wrong specs, with the whole of what a user sees.
TWELVE: dict[str, tuple[str | bytes | None, str]] = {
    "unknown key": (
        "base:\n  model:\n    dimm: 64\n  trian: {steps: 5}\nspace:\n  dim: {grid: [64]}\nbugdet: {trials: 3}\n",
        "sweep.yaml:3: base.model.dimm: unknown key; did you mean dim?\n"
        "sweep.yaml:4: base.trian: unknown key; did you mean train?\n"
        "sweep.yaml:6: space.dim: unknown key; did you mean model.dim?\n"
        "sweep.yaml:7: bugdet: unknown key; did you mean budget?",
    ),
    "misspelt recipe": (
        "space:\n  recipe:\n    choice:\n      - baseline\n      - selektive\n",
        "sweep.yaml:5: space.recipe.choice[1]: must be one of baseline, selective, scaled_freeze, full_adapter, "
        "progressive, low_rank, distill, progressive_distill, ensemble, but got 'selektive'\n"
        "    did you mean selective?",
    ),
    "range reversed": (
        "search: {method: random}\nbudget: {trials: 4}\nspace:\n  optimizer.beta1: {range: [0.9, 0.1]}\n",
        "sweep.yaml:4: space.optimizer.beta1.range: low must be below high, but got [0.9, 0.1]; "
        "did you mean [0.1, 0.9]?",
    ),
    "empty choice": (
        "space:\n  recipe: {choice: []}\n",
        "sweep.yaml:2: space.recipe.choice: must not be empty",
    ),
    "wrong type": (
        "seeds: [1, x]\nbase:\n  train: {steps: many, compile: 1}\n  model: {dim: '64', num_heads: true}\n",
        "sweep.yaml:1: seeds[1]: must be a whole number, but got 'x'\n"
        "sweep.yaml:3: base.train.steps: must be a whole number, but got 'many'\n"
        "sweep.yaml:3: base.train.compile: must be true or false or null, but got 1\n"
        "sweep.yaml:4: base.model.dim: must be a whole number, but got '64'; write it without quotes\n"
        "sweep.yaml:4: base.model.num_heads: must be a whole number, but got true",
    ),
    "duplicate key": (
        "base:\n  train:\n    steps: 5\n    steps: 6\n  data: 3\n",
        "sweep.yaml:4: base.train.steps: given twice; line 3 has it already\n"
        "sweep.yaml:5: base.data: must be text, but got 3; put it in quotes",
    ),
    "tab indentation": (
        "base:\n\ttrain:\n\t\tsteps: 5\n",
        "sweep.yaml:2: is indented with a tab; YAML takes only spaces there",
    ),
    "missing data set": (
        "base:\n  data: fineweb\n",
        "sweep.yaml:2: base.data: there is no dataset of this name, but got 'fineweb'; prepare it",
    ),
    "zero budget": (
        "name: x\nbudget: {trials: 0}\n",
        "sweep.yaml:2: budget.trials: must be at least 1, but got 0",
    ),
    "dim not divisible by heads": (
        "base:\n  model: {num_heads: 6}\n"
        "space:\n  recipe: {choice: [baseline, selective]}\n  model.dim: {grid: [96, 64]}\n",
        "sweep.yaml:5: space.model.dim: must be divisible by num_heads, but got 64 and 6\n"
        "    in the combination model.dim: 64, recipe: baseline",
    ),
    "file absent": (None, "sweep.yaml: no such file"),
    "binary file": (bytes(range(256)), "sweep.yaml: is a binary file, not YAML text"),
}


@pytest.mark.parametrize(("content", "rendered"), TWELVE.values(), ids=TWELVE.keys())
def test_the_twelve_wrong_specs(tmp_path: Path, content: str | bytes | None, rendered: str) -> None:
    """Each wrong spec gives all its problems with file, line, key, rule, value and nearest spelling."""
    path = Path("sweep.yaml") if content is None else write(tmp_path, content)
    if "fineweb" in rendered:
        # Whether a dataset is there is found out later, and told with the lines of the spec.
        error = problem_at(load_sweep(path), "data", "there is no dataset of this name", "fineweb", "prepare it")
        assert str(error) == rendered
    else:
        assert errors(path) == rendered


@pytest.mark.parametrize(
    ("content", "rendered"),
    [
        ("name: a b\n", "1: name: must look like"),
        ("name: 3\n", "1: name: must be text, but got 3; put it in quotes"),
        ("model: {dim: 64}\n", "1: model: unknown key; belongs in `base`"),
        ("objectives: {ce: minimize}\n", "1: objectives.ce: must be min or max, but got 'minimize'; did you mean min?"),
        (
            "keep: {artifacts: fron}\n",
            "1: keep.artifacts: must be all, front or none, but got 'fron'; did you mean front?",
        ),
        ("keep: {artefacts: all}\n", "1: keep.artefacts: unknown key; did you mean artifacts?"),
        ("keep: {checkpoints: -1}\n", "1: keep.checkpoints: must be at least 0, but got -1"),
        ("keep: {checkpoints: 1.5}\n", "1: keep.checkpoints: must be a whole number, but got 1.5"),
        ("keep: all\n", "1: keep: must be a mapping"),
        ("objectives: {artefact_bytes: min}\n", "1: objectives.artefact_bytes: is no result column"),
        ("objectives: []\n", "1: objectives: must be a mapping of result columns to min or max, but got []"),
        ("constraints: [ce < 3]\n", "1: constraints[0]: must be `column <= number`"),
        ("constraints: [ce <= .nan]\n", "1: constraints[0]: must be `column <= number`"),
        ("constraints: [bytes <= 3]\n", "1: constraints[0]: is no result column"),
        (
            "constraints: ce <= 3\n",
            "1: constraints: must be a list of limits, such as [total_bytes <= 16_000_000], but got 'ce <= 3'",
        ),
        ("search: grid\n", "1: search: must be a mapping"),
        ("search: {method: tpe}\n", "1: budget: method tpe needs a number of trials"),
        (
            "search: {method: tpee}\n",
            "1: search.method: must be one of auto, grid, random, tpe, ehvi; did you mean",
        ),
        ("search: {method: nsga2}\n", "1: search.method: nsga2 learns only from trials that were trained to the end"),
        ("search: {method: GPSampler}\n", "1: search.method: GPSampler draws the parameters of cases at random"),
        ("search: {method: cma-es}\n", "1: search.method: cma-es knows neither several objectives nor constraints"),
        ("search: {method: grid, seed: 1}\n", "1: search.seed: has no effect with method grid"),
        ("search: {method: random, first: [{}]}\n", "1: search.first: has no effect with method random"),
        ("search: {method: tpe, per_second: true}\n", "1: search.per_second: has no effect with method tpe"),
        (
            "objectives: {ce: min, tokens_per_s: max}\nsearch: {method: ehvi}\n",
            "2: search.method: ehvi knows ce or bpb, alone or with artifact_bytes or total_bytes, as objectives",
        ),
        (
            "budget: {trials: 5}\nsearch: {method: tpe}\nspace: {train.steps: {grid: [1, 5]}}\n",
            "2: search.method: tpe has nothing to choose in this space",
        ),
        (
            "objectives: {ce: min, tokens_per_s: max}\nearly_stopping: {method: best_case}\n",
            "2: early_stopping.method: knows only ce or bpb: min, alone or with artifact_bytes or total_bytes: min",
        ),
        ("objectives: {ce: max}\nearly_stopping: {method: asha}\n", "2: early_stopping.method: knows only ce or bpb"),
        ("early_stopping: {method: asha, risk: 0.1}\n", "1: early_stopping.risk: has no effect with method asha"),
        (
            "early_stopping: {method: none, audit_share: 0}\n",
            "1: early_stopping.audit_share: has no effect with method none; remove it, or use method best_case",
        ),
        ("early_stopping: {risk: 0}\n", "1: early_stopping.risk: must be above 0"),
        ("early_stopping: {risk: .nan}\n", "1: early_stopping.risk: must be"),
        ("early_stopping: {method: hyperband}\n", "1: early_stopping.method: must be one of"),
        ("search: {method: random}\n", "1: budget: method random needs a number of trials"),
        ("seeds: []\n", "1: seeds: must not be empty"),
        ("seeds: [1, 2, 1]\n", "1: seeds[2]: listed twice, but got 1"),
        ("seeds: 0\n", "1: seeds: must be from 1 to 10,000 replicates, but got 0"),
        ("seeds: [-1]\n", "1: seeds[0]: must be at least 0, but got -1"),
        ("seeds: true\n", "1: seeds: must be a list of whole numbers, or how many, but got true"),
        ("admission: 2\n", "1: admission: must be a mapping"),
        ("admission: {max_expected_ratio: 0.5}\n", "1: admission.max_expected_ratio: must be at least 1, but got 0.5"),
        (
            "admission: {max_expected_ratio: off}\n",
            "1: admission.max_expected_ratio: must be a number or null, but got",
        ),
        ("admission: {max_expected_ratio: .inf}\n", "1: admission.max_expected_ratio: must be a finite number"),
        ("admission: {max_ratio: 2}\n", "1: admission.max_ratio: unknown key; did you mean max_expected_ratio?"),
        ("resources: {accelerator: h100}\n", "1: resources.accelerator: must be spelt H100, but got 'h100'"),
        ("resources: {accelerator: 'A 40'}\n", "1: resources.accelerator: must look like"),
        ("resources: {gpus: 1.5}\n", "1: resources.gpus: must be at most 1 or a whole number"),
        ("resources: {gpus: 1, accelerator: CPU}\n", "1: resources.gpus: must be 0 where resources.accelerator is CPU"),
        ("resources: {gpus: 0, accelerator: A40}\n", "1: resources.gpus: must be above 0 where"),
        ("resources: {cpus: 0}\n", "1: resources.cpus: must be above 0, but got 0"),
        (
            "resources: {cpus: 1}\nbase: {num_threads: 2}\n",
            "2: base.num_threads: must be at most resources.cpus, but got 2",
        ),
        ("resources: {accelerator: CPU}\nbase: {device: cuda}\n", "2: base.device: cuda needs a GPU, but its"),
        ("resources: {gpus: 1}\nbase: {device: cpu}\n", "2: base.device: cpu would leave a GPU idle"),
        ("base: [1]\n", "1: base: must be a mapping"),
        ("base: {seed: 1}\n", "1: base.seed: belongs to `seeds` at the top"),
        ("base: {train.steps: 3}\n", "1: base.train.steps: unknown key; write train: {steps: …}"),
        ("base: {freeze: {layers: 2-x}, recipe: selective}\n", "1: base.freeze.layers: must look like"),
        ("base: {recipe: selective, freeze: {layers: 0-9}}\n", "1: base.freeze.layers: must be below num_layers = 6"),
        ("base: {recipe: selective, freeze: {matrices: [fc]}}\n", "1: base.freeze.matrices: must be among q, k, v, o"),
        (
            "base: {recipe: selective, freeze: {matrices: []}}\n",
            "1: base.freeze.matrices: must name a matrix with recipe selective, but it is empty",
        ),
        ("base: {freeze: {matrices: [gate, 1]}}\n", "1: base.freeze.matrices[1]: must be text, but got 1"),
        (
            "base: {model: {num_heads: 5}}\n",
            "1: base.model.num_heads: dim must be divisible by num_heads, but got 192 and 5",
        ),
        ("base: {train: {clip_norm: .inf}}\n", "1: base.train.clip_norm: must be a finite number, but got inf"),
        ("space: [1]\n", "1: space: must be a mapping"),
        ("space: {seed: {grid: [1, 2]}}\n", "1: space.seed: belongs to `seeds` at the top"),
        ("space: {train.steps: [1, 2]}\n", "1: space.train.steps: must be one of choice, grid"),
        ("space: {train.steps: 5}\n", "1: space.train.steps: must be one of choice, grid"),
        ("space: {train.steps: {}}\n", "1: space.train.steps: must have exactly one of choice"),
        ("space: {train.steps: {grid: [1], choice: [2]}}\n", "1: space.train.steps: must have exactly one of choice"),
        (
            "space: {train.steps: {gird: [1]}}\n",
            "1: space.train.steps.gird: unknown kind of parameter; did you mean grid?",
        ),
        ("space: {train.steps: {grid: 1}}\n", "1: space.train.steps.grid: must be a list: grid: [a, b, …], but got 1"),
        ("space: {train: {steps: [1, 9, 2]}}\n", "1: space.train.steps: must be one of choice, grid"),
        ("space: {train: {steps: {grid: [0]}}}\n", "1: space.train.steps.grid[0]: must be at least 1, but got 0"),
        ("space: {model: {choise: [{dim: 64}]}}\n", "1: space.model.choise: unknown key; did you mean choice?"),
        ("space: {model: {choice: [{dmi: 64}]}}\n", "1: space.model.choice[0].dmi: unknown key; did you mean dim?"),
        ("space: {model: {choice: [{dim: 4}]}}\n", "1: space.model.choice[0].dim: must be at least 8, but got 4"),
        ("space: {model: {choice: [3]}}\n", "1: space.model.choice[0]: must be a mapping"),
        ("space: {model: {range: [1, 2]}}\n", "1: space.model.range: unknown key"),
        ("space: {model: }\n", "1: space.model: must say what varies, but got null"),
        (
            "space: {optimiser.beta1: {grid: [0.9]}}\n",
            "1: space.optimiser.beta1: unknown key; did you mean optimizer.beta1?",
        ),
        ("space: {model.heads: {grid: [2]}}\n", "1: space.model.heads: unknown key; did you mean model.num_heads?"),
        ("space: {train.steps: {grid: [5, 5.0]}}\n", "1: space.train.steps.grid[1]: listed twice, but got 5"),
        (
            "search: {method: grid}\nspace: {train.steps: {range: [1, 5]}}\n",
            "2: space.train.steps: a range cannot be listed by method grid",
        ),
        ("space: {train.steps: {range: [1, 5]}}\n", "1: budget: method ehvi needs a number of trials"),
        ("space: {train.steps: {steps: [1, 5]}}\n", "1: space.train.steps.steps: must be 3 finite numbers"),
        ("space: {train.steps: {steps: [1, 5, 0]}}\n", "1: space.train.steps.steps: the step must not be 0"),
        ("space: {train.steps: {steps: [1, 5, -1]}}\n", "1: space.train.steps.steps: the step must lead from"),
        (
            "space: {train.steps: {steps: [1, 5, 0.5]}}\n",
            "1: space.train.steps.steps: must be a whole number, but got 1.5",
        ),
        (
            "space: {train.steps: {steps: [1, 9e9, 1]}}\n",
            "1: space.train.steps.steps: must not be more than 10,000 values",
        ),
        ("space: {train.steps: {range: [1, a]}}\n", "1: space.train.steps.range: must be 2 finite numbers"),
        (
            "space: {train.steps: {range: [3, 3]}}\n",
            "1: space.train.steps.range: low must be below high, but got [3, 3]",
        ),
        ("space: {train.steps: {range: [0, 3]}}\n", "1: space.train.steps.range[0]: must be at least 1, but got 0"),
        (
            "space: {model.mlp: {range: [1, 2]}}\n",
            "1: space.model.mlp.range: takes one of geglu, gelu, relu2; a range is for num",
        ),
        (
            "space: {artifact.embedding_bits: {range: [6, 8]}}\n",
            "1: space.artifact.embedding_bits.range: takes one of 2, 3, 4, 5, 6, 7, 8, 16;",
        ),
        (
            "space: {optimizer.beta1: {log_range: [0, 0.5]}}\n",
            "1: space.optimizer.beta1.log_range: low must be above 0",
        ),
        (
            "space:\n  train.steps: {grid: [1]}\n  train: {steps: {grid: [2]}}\n",
            "3: space.train.steps: sets train.steps, which space.train.steps (line 2) sets as well",
        ),
        (
            "space:\n  model: {choice: [{dim: 64}]}\n  model.dim: {grid: [64]}\n",
            "3: space.model.dim: sets model.dim, which space.model (line 2) sets as well",
        ),
        ("cases: {}\n", "1: cases: must be a list of `when` and `space`, but got {}"),
        ("cases: [1]\n", "1: cases[0]: must be a mapping (lines of `key: value`), but got 1"),
        ("cases: [{when: {}, space: {train.steps: {grid: [1]}}}]\n", "1: cases[0].when: a case needs a `when`"),
        ("base: {recipe: baseline}\ncases: [{when: {recipe: baseline}}]\n", "2: cases[0]: a case needs a `space`"),
        (
            "cases: [{when: {recipe: selective}, space: {freeze.seed: {grid: [1]}}}]\n",
            "1: cases[0].when.recipe: is neither in `base` nor in `space`; give it in `base`, even at its default",
        ),
        (
            "base: {recipe: baseline}\ncases: [{when: {recipe: selective}, space: {freeze.seed: {grid: [1]}}}]\n",
            "2: cases[0].when.recipe: never is 'selective' in this sweep, so the case never holds",
        ),
        (
            "base: {recipe: baseline}\nspace: {recipe: {grid: [selective]}}\n"
            "cases: [{when: {recipe: baseline}, space: {train.steps: {grid: [1]}}}]\n",
            "3: cases[0].when.recipe: never is 'baseline' in this sweep",
        ),
        (
            "base: {data: a}\nspace: {train.steps: {grid: [1]}}\n"
            "cases: [{when: {data: a}, space: {train.steps: {grid: [2]}}}]\n",
            "3: cases[0].space.train.steps: sets train.steps, which space.train.steps (line 2) sets as well",
        ),
        (
            "base: {data: a}\ncases: [{when: {data: a}, space: {recipe: {grid: [baseline]}}}]\n",
            "2: cases[0].space.recipe: the recipe cannot depend on a case; put it in `space`",
        ),
        (
            "cases: [{when: {train: 3}, space: {recipe: {grid: [baseline]}}}]\n",
            "1: cases[0].when.train: names a section",
        ),
        ("cases: [{wehn: {}, space: {data: {grid: [a]}}}]\n", "1: cases[0].wehn: unknown key; did you mean when?"),
    ],
)
def test_every_rule_has_its_words(tmp_path: Path, content: str, rendered: str) -> None:
    """A broken rule is told at its line, in our words."""
    text = errors(write(tmp_path, content))
    assert re.search("^" + re.escape(f"sweep.yaml:{rendered}"), text, re.MULTILINE), text
    assert "pydantic" not in text and "Input should" not in text and "validat" not in text


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Problems of sections, base, space, cases and of combinations come together, by line, whatever their order."""
    content = "\n".join(
        [
            "budget: {trials: 0}",
            "base:",
            "  model: {num_heads: 7, dim: 64}",
            "  train: {stepz: 5}",
            "space:",
            "  artifact.codec: {choice: [zip]}",
        ]
    )
    assert errors(write(tmp_path, content)).split("\n") == [
        "sweep.yaml:1: budget.trials: must be at least 1, but got 0",
        "sweep.yaml:4: base.train.stepz: unknown key; did you mean steps?",
        "sweep.yaml:6: space.artifact.codec.choice[0]: must be one of auto, zlib, zstd, brotli, lzma, but got 'zip'",
    ]
    without_budget = content.replace("trials: 0", "trials: 1")
    assert "sweep.yaml:3: base.model.dim: must be divisible by num_heads, but got 64 and 7" in errors(
        write(tmp_path, without_budget)
    )


def test_a_misspelt_key_raises_no_second_error(tmp_path: Path) -> None:
    """With `dimm` misspelt the default of `dim` is judged by nobody: one mistake, one problem."""
    content = "base:\n  model: {dimm: 70, num_heads: 7}\n"
    assert errors(write(tmp_path, content)) == "sweep.yaml:2: base.model.dimm: unknown key; did you mean dim?"


def test_a_wrong_combination_of_a_section_is_told_at_its_item(tmp_path: Path) -> None:
    """Where a choice of mappings breaks a rule, the line is that of the mapping's own key."""
    content = "space:\n  model:\n    choice:\n      - {dim: 96}\n      - num_layers: 2\n        dim: 64\n"
    assert errors(write(tmp_path, content)) == (
        "sweep.yaml:6: space.model.choice[1].dim: must be divisible by num_heads, but got 64 and 6\n"
        "    in the combination model: {num_layers: 2, dim: 64}"
    )


def test_one_screen(tmp_path: Path) -> None:
    """However much is wrong, the text has at most 31 lines and tells how many problems it leaves out."""
    base = "base:\n" + "".join(f"  key{i}: 1\n" for i in range(100))
    text = errors(write(tmp_path, base))
    assert len(text.split("\n")) <= 31
    assert text.endswith("… and 80 more")


def test_a_huge_grid_asks_for_a_budget(tmp_path: Path) -> None:
    """A grid of 10^12 trials is neither built nor hung on: without a budget it is refused, with one it is cut."""
    keys = ("train.steps", "schedule.warmup_steps", "optimizer.momentum_warmup_steps", "train.eval_every_steps")
    space = "space:\n" + "".join(f"  {key}: {{steps: [1, 1000, 1]}}\n" for key in keys)
    assert errors(write(tmp_path, space)) == (
        "sweep.yaml:1: space: the grid has 1,000,000,000,000 trials; "
        "say how many of them to run: budget: {trials: 1000}"
    )
    assert len(plan(load_sweep(write(tmp_path, space + "budget: {trials: 9}\n")))) == 9


def test_too_many_arms_for_a_random_search(tmp_path: Path) -> None:
    """Grid parameters that would cross each draw with a million combinations are refused."""
    space = "space:\n" + "".join(f"  {k}: {{grid: {list(range(2, 1002))}}}\n" for k in ("train.steps", "eval.tokens"))
    text = errors(write(tmp_path, f"search: {{method: random}}\nbudget: {{trials: 1}}\n{space}"))
    assert "sweep.yaml:3: space: each draw would be crossed with 1,000,000 combinations" in text


def test_what_a_full_spec_says(tmp_path: Path) -> None:
    """Every part of the file arrives, with numbers as their places take them."""
    spec = load_sweep(write(tmp_path, FULL))
    assert spec.name == "everything"
    assert spec.objectives == {"bpb": "min", "tokens_per_s": "max"}
    assert [str(constraint) for constraint in spec.constraints] == [
        "artifact_bytes <= 16_000_000",
        "tokens_per_s >= 1_500.0",
    ]
    assert spec.seeds == (1, 2, 3) and spec.admission.max_expected_ratio == 3
    assert spec.base["train"]["steps"] == 1000 and type(spec.base["train"]["steps"]) is int
    assert {parameter.key: parameter.kind for parameter in spec.space}["optimizer.beta1"] == "range"
    assert spec.cases[1].when == {"freeze.matrices": (["gate"],), "model.num_layers": (2, 4)}


def test_defaults(tmp_path: Path) -> None:
    """A mapping with next to nothing in it is one trial, named after its file."""
    spec = load_sweep(write(tmp_path, "base: {}\n", "tiny.yaml"))
    assert (spec.name, spec.seeds, spec.method, spec.budget.trials) == ("tiny", (1,), "grid", None)
    assert spec.objectives == {"ce": "min", "artifact_bytes": "min"}
    assert [str(constraint) for constraint in spec.constraints] == ["total_bytes <= 16_000_000"]
    assert spec.admission.max_expected_ratio == 2
    [trial] = plan(spec)
    assert (trial.accelerator, trial.cpus, trial.gpus, trial.config.recipe) == ("any", 1.0, None, "baseline")


@pytest.mark.parametrize("content", [FULL, "base: {}\n", *(path.read_text() for path in SHIPPED)])
def test_a_resolved_spec_reads_back_as_itself(tmp_path: Path, content: str) -> None:
    """The sweep.yaml of a run folder is a spec, equal to the one that was run, and of the same trials."""
    spec = load_sweep(write(tmp_path, content))
    again = load_sweep(write(tmp_path, yaml_document.dump(spec.resolved()), "again.yaml"))
    assert again.resolved() == spec.resolved()
    # what was left to frostline is resolved
    same = {name: getattr(spec, name) for name in ("search", "early_stopping", "replicates", "confirm", "seeds_given")}
    assert dataclasses.replace(again, **same) == spec and again.seeds == spec.seeds
    assert [trial.trial_id for trial in plan(again)] == [trial.trial_id for trial in plan(spec)]


def test_a_spec_can_be_sent(tmp_path: Path) -> None:
    """A spec and its errors survive pickling, lines included."""
    spec = pickle.loads(pickle.dumps(load_sweep(write(tmp_path, FULL))))
    error = pickle.loads(pickle.dumps(problem_at(spec, "data", "is not here")))
    assert str(error).endswith("sweep.yaml:9: base.data: is not here") and error.exit_code == 2


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("data", "9: base.data"),
        ("base.model.dim", "11: base.model.dim"),
        ("optimizer.learning_rate", "15: space.optimizer.learning_rate"),
        ("optimizer.beta1", "16: space.optimizer.beta1"),
        ("seeds", "6: seeds"),
        ("num_threads", "1: num_threads"),
    ],
)
def test_later_checks_find_their_line(tmp_path: Path, key: str, where: str) -> None:
    """A trial's key is found where the sweep sets it: in the space, dotted or nested, else in the base."""
    error = problem_at(load_sweep(write(tmp_path, FULL)), key, "is wrong")
    assert f"sweep.yaml:{where}: is wrong" in str(error)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("ce <= 3", 3, True),
        ("ce <= 3", 3.1, False),
        ("ce <= 3", None, False),
        ("ce <= 3", float("nan"), False),
        ("ce >= 3", float("nan"), False),
        ("tokens_per_s>=1e3", 1000, True),
        ("tokens_per_s >= 1_000", 999.9, False),
    ],
)
def test_constraints(tmp_path: Path, text: str, value: float | None, holds: bool) -> None:
    """A limit includes its bound; a result that is missing or NaN keeps none."""
    [constraint] = load_sweep(write(tmp_path, f"constraints: ['{text}']\n")).constraints
    assert constraint.holds(value) is holds


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_specs_are_right(path: Path) -> None:
    """Every YAML that ships loads and plans."""
    assert plan(load_sweep(path))


def test_the_quickstart_is_eighteen_trials() -> None:
    """Two recipes, three sizes, three seeds."""
    trials = plan(load_sweep(REPOSITORY / "search_spaces" / "quickstart.yaml"))
    shapes = {(one.config.recipe, *dict(one.config.model).values(), one.config.seed) for one in trials}
    assert len(trials) == len(shapes) == 18


def test_a_trial_file(tmp_path: Path) -> None:
    """A trial file is a whole trial, seed included."""
    config = load_trial(write(tmp_path, "seed: 5\nrecipe: selective\nmodel: {dim: 96}\ntrain: {steps: 1e3}\n"))
    assert (config.seed, config.recipe, config.model.dim, config.train.steps) == (5, "selective", 96, 1000)


def trial_errors(path: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_trial(path)
    return str(caught.value).split("\n")


def test_a_wrong_trial_file(tmp_path: Path) -> None:
    """A trial file's problems are all told at once, rules between keys included."""
    content = "seed: -1\nmodel:\n  num_heads: 5\n  dim: 64\ntrain: {stesp: 3}\nfreeze: {scheme: norml}\n"
    assert trial_errors(write(tmp_path, content)) == [
        "sweep.yaml:1: seed: must be at least 0, but got -1",
        "sweep.yaml:4: model.dim: must be divisible by num_heads, but got 64 and 5",
        "sweep.yaml:5: train.stesp: unknown key; did you mean steps?",
        "sweep.yaml:6: freeze.scheme: must be one of normal, uniform, rademacher, orthogonal, but got 'norml'; "
        "did you mean normal?",
    ]
    assert trial_errors(write(tmp_path, "freeze: {seed: 1}\n")) == [
        "sweep.yaml:1: freeze: has no effect with recipe baseline: remove it, or change the recipe"
    ]


def test_specs_are_light() -> None:
    """Reading and planning a sweep loads none of the heavy packages."""
    heavy = ["torch", "ray", "pandas", "pyarrow", "optuna", "numpy", "matplotlib"]
    modules = "search_spaces.spec.load, orchestrator.search.planner"
    code = f"import sys, {modules}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]"


def test_any_value_anywhere_is_answered(tmp_path: Path) -> None:
    """No plain value at any key ends in anything but a spec or a SpecError."""
    odd: list[Any] = [
        None,
        True,
        -1,
        0,
        1.5,
        "x",
        "",
        [],
        [[]],
        [None],
        {},
        {"": 1},
        {"a": {}},
        {"choice": [{}]},
        10**30,
    ]
    keys = ["name", "objectives", "constraints", "search", "budget", "seeds", "admission", "resources"]
    keys += ["base", "space", "cases"]
    trees = [{key: value} for key in keys for value in odd]
    trees += [{"base": {key: value}} for key in ("recipe", "data", "model", "freeze", "num_threads") for value in odd]
    trees += [{"space": {key: {kind: value}}} for key in ("model", "train.steps") for kind in KINDS for value in odd]
    trees += [{"cases": [{"when": value, "space": value}]} for value in odd]
    trees += [{key: value} for key in ("scale", "scales") for value in odd]
    trees += [{"scales": {"a": {"set": value, "divide": {"model.dim": 4}}}, "base": value} for value in odd]
    trees += [{"scales": {"a": {"divide": {"model.dim": 4}}}, "space": value, "cases": value} for value in odd]
    for tree in trees:
        path = write(tmp_path, yaml_document.dump(tree))
        try:
            plan(load_sweep(path))
        except SpecError as error:
            assert error.problems


KINDS = ("choice", "grid", "range", "log_range", "steps")


def test_notes(tmp_path: Path) -> None:
    """Free text comes with the spec and its resolved form; a sweep without notes has none there."""
    spec = load_sweep(write(tmp_path, "notes: |\n  Why this sweep?\n"))
    assert spec.notes == "Why this sweep?\n" == spec.resolved()["notes"]
    assert "notes" not in load_sweep(write(tmp_path, "base: {}\n")).resolved()
    assert errors(write(tmp_path, "notes: [1]\n")) == "sweep.yaml:1: notes: must be text or null, but got [1]"


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    """A section whose keys must be given says so of each, once."""
    assert errors(write(tmp_path, "scaled: {}\n")).splitlines() == [
        "sweep.yaml:1: scaled.name: is missing, but got {}",
        "sweep.yaml:1: scaled.divide: is missing, but got {}",
    ]


def test_a_section_is_not_blamed_for_what_was_wrong_in_it(tmp_path: Path) -> None:
    """One mistake is one problem: objectives whose only entry is wrong are not called empty as well."""
    assert errors(write(tmp_path, "objectives: {ce: minimize}\n")).splitlines() == [
        "sweep.yaml:1: objectives.ce: must be min or max, but got 'minimize'; did you mean min?"
    ]


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("search: {method: ehvi}\n", "best_case"),
        ("search: {method: tpe}\n", "best_case"),
        ("search: {method: tpe}\nobjectives: {ce: min, tokens_per_s: max}\n", "none"),
        ("search: {method: random}\n", "none"),
        ("search: {method: random}\nearly_stopping: {method: asha}\n", "asha"),
        ("search: {method: ehvi}\nearly_stopping: {method: none}\n", "none"),
    ],
)
def test_early_stopping_by_default(tmp_path: Path, text: str, method: str) -> None:
    """On with a search for cross-entropy and bytes, else off; what was resolved reads back as the same."""
    rest = "budget: {trials: 9}\nspace: {optimizer.learning_rate: {log_range: [0.001, 0.1]}}\n"
    path = tmp_path / "sweep.yaml"
    path.write_text(text + rest)
    spec = load_sweep(path)
    assert spec.stopping == method
    path.write_text(yaml_document.dump(spec.resolved()))
    again = load_sweep(path)
    assert again.stopping == method and again.resolved() == spec.resolved()
