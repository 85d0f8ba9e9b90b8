"""Importance of settings: closed forms, noise, conditional and tied settings, and what cannot be told."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trial_builder import make_tables, make_trial

from results.analysis.importance import EQUAL_BYTES, REACHING_FRONT, Importance, importances
from results.analysis.importance.equal_bytes import effects
from results.analysis.importance.front import shares
from results.analysis.importance.varied import Varied, varied_settings
from results.analysis.objectives import Direction
from results.analysis.pareto_info import pareto_info

Row = dict[str, Any]


def searched(num: int, seed: int = 0, noise: float = 0.005, recipes: Sequence[str] = ("baseline",)) -> list[Row]:
    """Configs drawn at random: ce falls with bytes, has a best learning rate, and dropout does nothing.

    At equal bytes, ce changes by 0.2 · z² of z = log10(learning rate / 0.01) in [-1, 1]: a standard deviation of 0.06;
    and by 0.05 between the recipes.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(num):
        layers, dim = int(rng.integers(2, 12)), int(rng.choice([64, 96, 128, 192]))
        z, dropout = rng.uniform(-1, 1), float(rng.choice([0.0, 0.1, 0.2]))
        recipe = recipes[index % len(recipes)]
        ce = 6 - 0.15 * math.log(layers * dim**2) + 0.2 * z**2 + 0.05 * (recipe == "selective")
        name = f"{index:05d}-{rng.integers(1 << 30):x}"
        changes = {"config_id": name, "trial_id": name, "cfg_model_dropout": dropout}
        changes |= {"cfg_optimizer_learning_rate": 0.01 * 10**z, "artifact_bytes": 12 * layers * dim**2}
        rows.append(make_trial(recipe, layers, dim, ce=ce + noise * rng.standard_normal(), **changes))
    return rows


def found(
    rows: Sequence[Row], objectives: Mapping[str, Direction] | None = None, **changes: Any
) -> tuple[Importance, ...]:
    tables = dataclasses.replace(make_tables(rows), **changes)
    return importances(tables, pareto_info(tables, objectives))


def of_target(rows: Sequence[Importance], target: str) -> Mapping[str, Importance]:
    return {str(row.setting): row for row in rows if row.target == target}


def reason(rows: Sequence[Importance], target: str) -> str:
    [row] = [one for one in rows if one.target == target]
    assert (row.setting, row.effect, row.low, row.high) == (None, None, None, None)
    return str(row.reason)


def test_effects_at_equal_bytes_are_those_of_the_closed_form() -> None:
    """The typical change of ce is that of 0.2·z² and of 0.05 between recipes, in order; dropout and shape may be 0."""
    rows = of_target(found(searched(300, recipes=("baseline", "selective"))), EQUAL_BYTES)
    assert list(rows)[:2] == ["optimizer.learning_rate", "recipe"]
    for setting, true in (("optimizer.learning_rate", 0.2 * math.sqrt(4 / 45)), ("recipe", 0.025)):
        row = rows[setting]
        assert row.low is not None and row.high is not None and row.unit == "nats" and row.num_configs == 300
        assert 0 < row.low <= true <= row.high and row.effect == pytest.approx(true, rel=0.15)
    assert rows["model.dropout"].low == 0 and rows["model.num_layers"].low == 0 and rows["model.dim"].low == 0


def test_reaching_the_front_needs_the_learning_rate() -> None:
    """What decides who is on the front comes first and beyond chance; a setting that does nothing may be chance."""
    rows = of_target(found(searched(300)), REACHING_FRONT)
    assert next(iter(rows)) == "optimizer.learning_rate" and rows["optimizer.learning_rate"].low > 0  # type: ignore[operator]
    assert rows["model.dropout"].low == 0 and rows["model.dropout"].effect < 0.1  # type: ignore[operator]
    assert all(row.unit == "share" and 0 <= row.effect <= row.high <= 1 for row in rows.values())  # type: ignore[operator]
    assert sum(row.effect or 0.0 for row in rows.values()) == pytest.approx(1)


def test_intervals_hold_what_they_should() -> None:
    """Over 12 drawn searches: those of a real effect hold it mostly, those of noise nearly always begin at 0."""
    true, noise = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.random((80, 3))
        ce = -0.3 * x[:, 0] + 0.4 * (x[:, 1] - 0.5) ** 2 + 0.01 * rng.standard_normal(80)
        places = [np.argsort(np.argsort(column)) for column in x.T]
        settings = [Varied(keys=(str(k),), codes=one, is_ordered=True) for k, one in enumerate(places)]
        result = effects(settings[1:], x[:, 0], ce)
        assert result is not None
        true.append(result[0].low <= math.sqrt(0.16 / 180) <= result[0].high)
        noise.append(result[1].low == 0)
    assert np.mean(true) >= 0.85 and np.mean(noise) >= 0.95


def test_shares_of_noise_may_be_chance() -> None:
    """Over 10 drawn searches where nothing decides the place, the interval of nearly every setting begins at 0."""
    noise = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        settings = [Varied(keys=(str(k),), codes=rng.integers(0, 5, 80), is_ordered=bool(k % 2)) for k in range(4)]
        result = shares(settings, rng.permutation(80).astype(float))
        noise += [one.low == 0 for one in result or []]
    assert np.mean(noise) >= 0.9


def test_the_order_of_rows_changes_nothing_and_the_same_tables_give_the_same_bytes() -> None:
    """Trials in any order, with two seeds of a config, give equal rows to the last bit, also when computed twice."""
    rows = searched(60, recipes=("baseline", "selective"))
    rows += [{**row, "seed": 2, "trial_id": f"{row['trial_id']}b", "ce": row["ce"] + 0.01} for row in rows[:20]]
    first = found(rows)
    mixed = [rows[index] for index in np.random.default_rng(1).permutation(len(rows))]
    assert repr(found(rows)) == repr(first) == repr(found(mixed))
    assert {row.num_configs for row in first} == {60}, "a config counts once"


def test_a_setting_of_some_recipes_rests_on_the_configs_that_have_it() -> None:
    """adapter.rank exists in half of the configs: its row says so, and that of the recipe says that it includes it."""
    rows = searched(120, recipes=("baseline", "full_adapter"))
    rng = np.random.default_rng(2)
    for row in rows:
        if row["recipe"] == "full_adapter":
            rank = int(rng.choice([4, 8, 16]))
            row |= {"cfg_adapter_rank": rank, "cfg_adapter_kind": "lora", "ce": row["ce"] + 0.03 * (rank == 4)}
    by_setting = of_target(found(rows), EQUAL_BYTES)
    assert by_setting["adapter.rank"].num_configs == 60 and by_setting["recipe"].num_configs == 120
    note = "adapter.rank exists only with some values of recipe: its row is of the 60 configs that have it."
    assert note in by_setting["adapter.rank"].notes
    assert "The row of recipe includes what comes and goes with it: adapter.rank." in by_setting["recipe"].notes


def test_a_setting_of_a_case_rests_on_the_configs_of_the_case(tmp_path: Path) -> None:
    """The table has a value of optimizer.momentum in each row; only where its case holds was it chosen."""
    rows = searched(80)
    rng = np.random.default_rng(3)
    for index, row in enumerate(rows):
        is_muon = index % 2 == 0
        momentum = float(rng.choice([0.8, 0.9])) if is_muon else 0.95
        row |= {"cfg_optimizer_name": "muon" if is_muon else "adamw", "cfg_optimizer_momentum": momentum}
    case = "cases: [{when: {optimizer.name: [muon]}, space: {optimizer.momentum: {choice: [0.8, 0.9]}}}]\n"
    (tmp_path / "sweep.yaml").write_text(f"{case}search: {{method: ehvi}}\n")
    by_setting = of_target(found(rows, folders=(tmp_path,)), EQUAL_BYTES)
    assert by_setting["optimizer.momentum"].num_configs == 40
    assert any(note.startswith("The configs were chosen by method ehvi") for note in by_setting["optimizer.name"].notes)


def test_settings_that_cannot_be_told_apart_are_one_row_and_those_that_go_together_are_named() -> None:
    """One to one: one row with both keys. Nearly so: two rows, and both say it."""
    rows = searched(100)
    rng = np.random.default_rng(4)
    for row in rows:
        dim = row["cfg_model_dim"]
        row |= {"cfg_model_rope_dims": dim // 4, "cfg_model_num_heads": dim // 32 if rng.random() < 0.9 else 2}
    by_setting = of_target(found(rows), EQUAL_BYTES)
    note = "model.dim and model.rope_dims were only ever changed together: they have one row."
    assert note in by_setting["model.dim + model.rope_dims"].notes
    tied = "model.dim + model.rope_dims and model.num_heads go together (Cramér's V "
    for setting in ("model.num_heads", "model.dim + model.rope_dims"):
        assert any(note.startswith(tied) for note in by_setting[setting].notes)


def test_values_that_never_come_twice_are_not_one_setting() -> None:
    """Two ranges, each value drawn once, are told apart; only the same or the reverse order makes them one."""
    rng = np.random.default_rng(5)
    drawn = [
        {"cfg_optimizer_beta1": a, "cfg_optimizer_beta2": 1 - a, "cfg_model_dropout": b} for a, b in rng.random((9, 2))
    ]
    assert [one.name for one in varied_settings(drawn)] == ["model.dropout", "optimizer.beta1 + optimizer.beta2"]


def test_too_few_configs_say_their_number() -> None:
    """Below 30 configs there is no row of a setting, below 50 none for the front."""
    rows = found(searched(29))
    assert reason(rows, EQUAL_BYTES) == "29 configs are too few: below 30, effects are hardly ever told from chance."
    assert reason(rows, REACHING_FRONT).startswith("29 configs are too few: below 50")
    assert [row.num_configs for row in rows] == [29, 29]
    assert len(found([])) == 2 and reason(found([]), EQUAL_BYTES).startswith("0 configs are too few")


def test_settings_that_explain_nothing_have_no_rows() -> None:
    """Where ce is noise beside the trend over bytes, or constant, the model is not shown."""
    text = "The settings do not explain ce here: a model of them predicts no better than bytes alone do."
    rng = np.random.default_rng(6)
    noise = [{**row, "ce": 3 + 0.01 * rng.standard_normal()} for row in searched(80)]
    assert reason(found(noise), EQUAL_BYTES) == text
    assert reason(found([{**row, "ce": 3.0} for row in searched(80)]), EQUAL_BYTES) == text


def test_equal_settings_and_a_front_of_all_are_told() -> None:
    """Without a setting that varies, or with nearly all configs on the front, the reason says so."""
    same = [make_trial(ce=3.0, config_id=str(i), trial_id=str(i)) for i in range(60)]
    rows = found(same)
    assert reason(rows, EQUAL_BYTES) == "All configs have the same settings."
    assert reason(rows, REACHING_FRONT) == "60 of 60 configs are on the front: nothing tells them from the others."


def test_what_has_no_score_or_another_text_takes_no_part() -> None:
    """Diverged and NaN trials are no configs here; of two texts the one with more configs is told of, with a note."""
    rows = searched(60)
    other = [{**row, "data_sha256": "e" * 64, "config_id": f"x{row['config_id']}"} for row in rows[:10]]
    lost = [
        {**rows[0], "config_id": "lost", "status": "diverged", "ce": None},
        {**rows[1], "ce": math.nan, "config_id": "n"},
    ]
    result = found([*rows, *other, *lost])
    assert {row.num_configs for row in result} == {60}
    assert "10 configs were scored on other tokens or devices: they take no part." in result[0].notes


@pytest.mark.parametrize(
    ("objectives", "num_of_front"),
    [
        ({"bpb": "min", "artifact_bytes": "min"}, 90),
        ({"tokens_per_s": "max", "total_bytes": "min"}, 90),
        ({"ce": "min", "artifact_bytes": "min"}, 50),
    ],
)
def test_losses_per_token_are_never_compared_across_texts(
    objectives: Mapping[str, Direction], num_of_front: int
) -> None:
    """Two vocabularies with the same bits per byte: neither data nor vocabulary has an effect in nats per token."""
    rows = searched(90)
    for row in rows[:40]:
        row |= {"data": "wide", "data_sha256": "e" * 64, "cfg_model_vocab_size": 8192, "ce": row["ce"] + 1.7}
    result = found(rows, objectives)
    at_equal_bytes = of_target(result, EQUAL_BYTES)
    assert not {"data", "model.vocab_size", "data + model.vocab_size"} & set(at_equal_bytes)
    assert at_equal_bytes["optimizer.learning_rate"].num_configs == 50
    note = "40 configs were scored on other tokens or devices: they take no part."
    assert note in at_equal_bytes["optimizer.learning_rate"].notes
    assert {row.num_configs for row in result if row.target == REACHING_FRONT} == {num_of_front}


@pytest.mark.parametrize(("num_small", "is_told"), [(8, True), (4, False), (1, False)])
def test_only_what_has_a_place_is_near_the_front(num_small: int, is_told: bool) -> None:
    """8 of 100 configs keep the limit, and the width alone decides it: it is named. Of 4, their number is told."""
    rows = searched(100)
    for index, row in enumerate(rows):
        is_small = index % 12 == 0 and index // 12 < num_small
        row |= {"cfg_model_dim": 64 if is_small else 192, "total_bytes": (1 if is_small else 20) * 10**6}
    result = found(rows)
    if is_told:
        first = next(row for row in result if row.target == REACHING_FRONT)
        assert first.setting == "model.dim" and first.low is not None and first.low > 0.3
    else:
        text = f"Of 100 configs only {num_small} can be on the front: too few to tell them from the others."
        assert reason(result, REACHING_FRONT) == text


def test_a_condition_on_the_accelerator_hides_no_setting() -> None:
    """It is no column of a config, so it cannot be checked; together with a setting, the setting decides."""
    drawn = [
        {"cfg_train_batch_sequences": 8 * (1 + i % 2), "cfg_optimizer_name": "muon" if i < 6 else "adamw"}
        for i in range(9)
    ]
    when = {"resources.accelerator": "H100"}
    space = {"train.batch_sequences": {"choice": [8, 16]}}
    [_, batch] = sorted(varied_settings(drawn, [{"when": when, "space": space}]), key=lambda one: one.name)
    assert batch.name == "train.batch_sequences" and batch.present.all() and not batch.depends_on
    case = {"when": {**when, "optimizer.name": "muon"}, "space": space}
    [_, batch] = sorted(varied_settings(drawn, [case]), key=lambda one: one.name)
    assert batch.present.sum() == 6 and batch.depends_on == {"optimizer.name"}


def test_many_configs_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a fixed number is used, the same in any order, and a note says so."""
    monkeypatch.setattr("results.analysis.importance.targets.MAX_CONFIGS", 60)
    rows = searched(100)
    result = found(rows)
    assert repr(result) == repr(found(rows[::-1])) and {row.num_configs for row in result} == {60}
    assert "Computed from 60 of 100 configs, chosen by a hash of their ids." in result[0].notes
