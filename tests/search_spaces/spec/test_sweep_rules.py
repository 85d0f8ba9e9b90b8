"""Bounds, contradictions and warnings: what a sweep file may not say, and what it says without effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.search.planner import plan
from search_spaces.spec.load import load_sweep
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sweep_rules import sweep_warnings
from trainer.config.trial import TrialConfig


def write(folder: Path, text: str) -> Path:
    path = folder / "night.yaml"
    path.write_text(text)
    return path


def error(folder: Path, text: str, *overrides: str) -> str:
    """The text of a wrong sweep's error, without its folder; its exit code is that of wrong usage."""
    with pytest.raises(SpecError) as caught:
        load_sweep(write(folder, text), overrides=overrides)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(f"{folder}/", "")


RANDOM = "search: {method: random}\nbudget: {trials: 9}\n"
BOUNDS = {
    "base:\n  optimizer: {learning_rate: 1e300}\n": "night.yaml:2: base.optimizer.learning_rate: must be at most 10",
    "base:\n  optimizer: {weight_decay: 1e9}\n": "night.yaml:2: base.optimizer.weight_decay: must be at most 10",
    "base:\n  train: {steps: 1_000_000_000_000_000}\n": "night.yaml:2: base.train.steps: must be at most 10,000,000",
    "base:\n  train: {batch_sequences: 1_000_000_000}\n": "night.yaml:2: base.train.batch_sequences: must be at most",
    "base:\n  eval: {tokens: 1_000_000_000_000}\n": "night.yaml:2: base.eval.tokens: must be at most 1,000,000,000",
    RANDOM + "space:\n  train.steps: {range: [1, 1e30]}\n": "night.yaml:4: space.train.steps.range[1]: must be",
    RANDOM
    + "space:\n  train.steps: {range: [1, 100_000_000]}\n": "night.yaml:4: space.train.steps.range[1]: must be at",
    RANDOM + "space:\n  optimizer.learning_rate: {log_range: [1e-320, 1]}\n": (
        "night.yaml:4: space.optimizer.learning_rate.log_range[0]: must be at least 1e-09, but got 1e-320"
    ),
    RANDOM + "space:\n  optimizer.learning_rate: {log_range: [1e-3, 1e300]}\n": (
        "night.yaml:4: space.optimizer.learning_rate.log_range[1]: must be at most 10, but got 1e+300"
    ),
    f"base:\n  train: {{steps: 1{'0' * 400}}}\n": "night.yaml:2: base.train.steps: must be",
}


@pytest.mark.parametrize("text", BOUNDS)
def test_bounds(text: str, tmp_path: Path) -> None:
    """Every number has a bound; what is beyond it is refused at its line."""
    assert error(tmp_path, text).startswith(BOUNDS[text])


def test_every_number_of_a_trial_is_bounded() -> None:
    """No key takes numbers without an end: 1e300 and -1e300 are refused wherever numbers are taken."""
    schema = TrialConfig.model_json_schema()
    sections = {"": schema, **schema["$defs"]}
    unbounded = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, field in section.get("properties", {}).items()
        for option in field.get("anyOf", [field])
        if option.get("type") in ("integer", "number")
        and "enum" not in option
        and not ({"minimum", "exclusiveMinimum"} & set(option) and {"maximum", "exclusiveMaximum"} & set(option))
    ]
    assert unbounded == []


CONTRADICTIONS = {
    "constraints:\n  - total_bytes <= -5\n": "night.yaml:2: constraints[0]: no result keeps it: total_bytes is above 0",
    "constraints:\n  - total_bytes <= 1\n  - total_bytes >= 2\n": "night.yaml:3: constraints[1]: excludes",
    "constraints:\n  - ce >= 2\n  - ce <= 1\n": "night.yaml:3: constraints[1]: excludes constraints[0], ce >= 2",
    "constraints:\n  - ce <= 3\n  - ce <= 4\n": "night.yaml:3: constraints[1]: limits ce once more; line 2 does",
    "objectives:\n  ce: min\n  bpb: max\n": "night.yaml:3: objectives.bpb: contradicts ce: min",
    "seeds:\n  - 1\n  - 1\n": "night.yaml:3: seeds[1]: listed twice",
}  # fmt: skip


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_contradictions(text: str, tmp_path: Path) -> None:
    """What cannot be meant is an error, at the line that contradicts an earlier one."""
    assert error(tmp_path, text).startswith(CONTRADICTIONS[text])


def test_limits_that_meet_are_no_contradiction(tmp_path: Path) -> None:
    """A column may be bounded from both sides, down to a single value."""
    assert load_sweep(write(tmp_path, "constraints: ['ce >= 2', 'ce <= 2']\n"))


WARNINGS = {
    "base: {schedule: {warmup_steps: 20}, train: {steps: 20}}\n": "schedule.warmup_steps",
    "base: {train: {steps: 20, eval_every_steps: 21}}\n": "train.eval_every_steps",
    "base: {train: {checkpoint_every_seconds: 0}}\n": "train.checkpoint_every_seconds",
    "objectives: {ce: min, bpb: min}\n": "objectives.bpb",
    "objectives: {ce: max}\n": "objectives.ce",
    "objectives: {ce: min, tokens_per_s: min}\n": "objectives.tokens_per_s",
    "objectives: {ce: min, tokens_per_s: max}\n": "",
    RANDOM + "seeds: 2\nspace: {optimizer.beta1: {range: [0.5, 0.9]}}\n": "budget.trials",
    RANDOM + "seeds: 3\nspace: {optimizer.beta1: {range: [0.5, 0.9]}}\n": "",
    "base: {optimizer: {name: adamw, momentum: 0.9}}\n": "optimizer.momentum",
    "base: {optimizer: {name: muon, momentum: 0.9}}\n": "",
    "base: {freeze: {scheme: orthogonal}}\n": "freeze.scheme",
    "space: {optimizer.name: {choice: [adamw, muon]}, optimizer.momentum: {choice: [0.8, 0.9]}}\n": (
        "space.optimizer.momentum"
    ),
    "space: {schedule.warmdown_steps: {choice: [10, 20]}}\n": "space.schedule.warmdown_steps",
    "base: {freeze: {scheme: uniform}}\nspace: {recipe: {choice: [baseline, selective]}}\n": "",
    "base: {schedule: {warmup_steps: 19}, train: {steps: 20, eval_every_steps: 20, checkpoint_every_seconds: 1}}\n": "",
}


@pytest.mark.parametrize("text", WARNINGS)
def test_warnings(text: str, tmp_path: Path) -> None:
    """What is merely useless runs, and is said with its key; at the edge nothing is."""
    spec = load_sweep(write(tmp_path, text))
    found = list(sweep_warnings(spec, (trial.config for trial in plan(spec))))
    assert [".".join(map(str, one.keys)).removeprefix("base.") for one in found] == [WARNINGS[text]] * bool(
        WARNINGS[text]
    )


DIMS = RANDOM + "base: {model: {num_heads: 4}}\nspace:\n  model.dim:\n    choice:\n      - 32\n      - 50\n      - 64\n"


def test_a_value_that_no_draw_may_use_is_refused(tmp_path: Path) -> None:
    """As in a grid: 50 cannot be divided by 4 heads, so it would silently never be drawn."""
    text = error(tmp_path, DIMS)
    assert text.startswith("night.yaml:8: space.model.dim.choice[1]: must be divisible by num_heads, but got 50 and 4")
    assert "not one of 400 draws with this value is valid" in text
    as_grid = error(tmp_path, DIMS.replace("random", "grid"))
    assert "space.model.dim: must be divisible by num_heads, but got 50 and 4" in as_grid


def test_a_value_that_some_draws_may_use_is_kept(tmp_path: Path) -> None:
    """Where another parameter decides, the value stays: 32 goes with 2 heads, and is drawn with those only."""
    space = "space:\n  model.dim: {choice: [32, 48]}\n  model.num_heads: {choice: [2, 6]}\n"
    spec = load_sweep(write(tmp_path, RANDOM + space))
    pairs = {(one.config.model.dim, one.config.model.num_heads) for one in plan(spec)}
    assert (32, 2) in pairs and (32, 6) not in pairs and {dim for dim, _ in pairs} == {32, 48}


def test_a_setting_that_is_replaced_is_refused(tmp_path: Path) -> None:
    """What a space or a scale sets in every trial cannot be set beneath it: other trials than asked would run."""
    space = "space: {train.steps: {choice: [100, 200]}}\n"
    text = "has no effect: space.train.steps sets train.steps in every trial"
    assert error(tmp_path, space, "base.train.steps=7") == f"argument base.train.steps=7: {text}"
    scales = "scales: {cpu: {set: {train: {steps: 5}}}}\n"
    assert error(tmp_path, scales + space) == (
        "night.yaml:1: scales.cpu.set.train.steps: has no effect: space.train.steps sets it in every trial"
    )
    path = write(tmp_path, scales + "base: {train: {steps: 9}}\n")
    assert load_sweep(path, overrides=("base.train.steps=7",)).base["train"]["steps"] == 7
    with pytest.raises(SpecError, match=r"argument base\.train\.steps=7: has no effect: scales\.cpu\.set sets"):
        load_sweep(path, "cpu", ("base.train.steps=7",))
    some = "space: {train: {choice: [{steps: 5}, {clip_norm: 0.5}]}}\n"
    assert len(plan(load_sweep(write(tmp_path, some), overrides=("base.train.steps=7",)))) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("base: {recipe: low_rank}\n", "night.yaml:1: base: model.mlp must be gelu or relu2 with recipe low_rank"),
        (
            RANDOM + "base: {model: {dim: 64, num_heads: 4}}\nspace: {model.mlp_ratio: {range: [1, 4]}}\n",
            "night.yaml:4: space.model.mlp_ratio: dim * mlp_ratio must be a whole number, but got 64 * ",
        ),
        (
            "scales: {cpu: {set: {model: {dim: 66}}}}\nbase: {model: {dim: 64, num_heads: 4}}\n",
            "night.yaml:1: scales.cpu.set.model.dim: must be divisible by num_heads, but got 66 and 4",
        ),
    ],
)
def test_the_key_to_change_is_named(text: str, found: str, tmp_path: Path) -> None:
    """Of the keys that a rule reads, the one that varies, or that a scale sets, is to blame before the base."""
    assert error(tmp_path, text).startswith(found)


def test_widths_by_pattern_in_a_sweep(tmp_path: Path) -> None:
    """As a list or as a mapping, in the base and in a choice."""
    for text in ("['blocks.*.down=4']", "{'blocks.*.down': 4}"):
        spec = load_sweep(write(tmp_path, f"base: {{artifact: {{bits_by_pattern: {text}}}}}\n"))
        assert [trial.config.artifact.bits_by_pattern for trial in plan(spec)] == [("blocks.*.down=4",)]
    choice = "space: {artifact.bits_by_pattern: {choice: [['blocks.*.down=4'], null, {'blocks.*.up': 3}]}}\n"
    found = [trial.config.artifact.bits_by_pattern for trial in plan(load_sweep(write(tmp_path, choice)))]
    assert found == [("blocks.*.down=4",), None, ("blocks.*.up=3",)]


def test_overrides_change_the_file(tmp_path: Path) -> None:
    """Values, lists, new keys and keys that are dotted in the file; the resolved form holds them."""
    path = write(tmp_path, "base: {model: {num_heads: 4}}\nspace:\n  model.dim: {choice: [64, 96]}\n")
    spec = load_sweep(
        path, overrides=("base.train.steps=2_000", "space.model.dim.choice=[256, 384]", "seeds=2", "notes=why")
    )
    resolved = spec.resolved()
    assert resolved["base"]["train"]["steps"] == 2000 and resolved["base"]["model"]["num_heads"] == 4
    assert resolved["space"] == {"model.dim": {"choice": [256, 384]}}
    assert resolved["seeds"] == [1, 2] and resolved["notes"] == "why"


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("base.train.stesp=5", "argument base.train.stesp=5: base.train.stesp: unknown key; did you mean steps?"),
        ("base.train.steps=many", "argument base.train.steps=many: base.train.steps: must be a whole number"),
        ("nonsense", "argument nonsense: must be KEY=VALUE"),
        ("=5", "argument =5: must be KEY=VALUE"),
        ("base..steps=5", "argument base..steps=5: must be KEY=VALUE"),
        ("seeds=[1, 2", "argument seeds=[1, 2: its value is not YAML"),
        ("base.model.dim=50", "argument base.model.dim=50: base.model.dim: must be divisible by num_heads"),
        ("base.model=5", "argument base.model=5: base.model: must be a mapping"),
        ("base.model.num_heads=5", "argument base.model.num_heads=5: base.model.num_heads: dim must be divisible"),
        ("base.model.num_heads.x=5", "argument base.model.num_heads.x=5: base.model.num_heads: must be a whole number"),
    ],
)
def test_an_error_points_at_the_argument(argument: str, text: str, tmp_path: Path) -> None:
    """What is wrong with an argument is placed there, not at a line of the file."""
    assert error(tmp_path, "base: {model: {dim: 64, num_heads: 4}}\n", argument).startswith(text)
