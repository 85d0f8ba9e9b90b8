"""What a trial costs follows from its config: its steps, and all that stands beside them."""

from __future__ import annotations

import dataclasses

import pytest
from tiny import STUDY, tiny_config, tiny_recipe

from orchestrator.estimates.operations import training_steps
from orchestrator.estimates.speeds import CARDS, MEASURED_CPU, card_speed
from orchestrator.scheduling import cost_model
from orchestrator.scheduling.cost_model import Cost, costs, training_cost
from orchestrator.search.planner import PlannedTrial
from trainer.config.trial import TrialConfig
from trainer.recipes.variants import RECIPES, plan

H100 = card_speed(CARDS["H100"])


def beside(**settings: object) -> float:
    return training_cost(tiny_config(**settings)).seconds(MEASURED_CPU).beside  # type: ignore[arg-type]


def test_work_is_parameters_times_tokens() -> None:
    """Methods of search compare configs by it: it stays what it was."""
    config = tiny_config()
    params = plan(config).num_params() + cost_model.PARAMETERS_OF_OVERHEAD
    assert training_cost(config).work == config.train.steps * config.train.batch_tokens * params
    assert training_cost(config).tokens == 12 * 4 * 32


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_first_step_of_a_phase_is_beside_the_steps(recipe: str) -> None:
    """As the trainer counts it: it warms up, or compiles."""
    config = tiny_recipe(recipe)
    cost, phases = training_cost(config), list(training_steps(config, plan(config)))
    assert cost.steps.flops == pytest.approx(sum(step.flops * (phase.steps - 1) for phase, step in phases))
    assert cost.first_steps.flops == pytest.approx(sum(step.flops for _, step in phases))


def test_twice_the_steps_take_twice_the_time_and_no_longer_beside() -> None:
    """But for the one step of the phase that is not counted."""
    short, long = (training_cost(tiny_config(train={"steps": n})).seconds(MEASURED_CPU) for n in (101, 201))
    assert long.steps == pytest.approx(2 * short.steps) and long.beside == pytest.approx(short.beside)


def test_a_batch_of_none_would_still_cost_muon_its_update() -> None:
    """Four times the rows take less than four times as long under Muon."""
    model = {**STUDY, "dim": 128}

    def step(rows: int, optimizer: str) -> float:
        config = tiny_config(model=model, train={"batch_sequences": rows}, optimizer={"name": optimizer})
        return training_cost(config).seconds(MEASURED_CPU).steps

    assert step(16, "muon") / step(4, "muon") < step(16, "adamw") / step(4, "adamw")


def test_what_is_beside_the_steps_is_counted() -> None:
    """Validation tokens, a sliding window, scores on the way, codecs, checkpoints, large weights."""
    plain = beside()
    assert beside(eval={"tokens": 65_536}) > plain
    assert beside(eval={"tokens": 1024, "stride": 1}) > plain
    assert beside(train={"eval_every_steps": 1}) > plain
    assert beside(train={"checkpoint_every_seconds": 0.0}) > plain
    assert beside(artifact={"codec": "zlib"}) < plain
    assert beside(model={**STUDY, "dim": 128}) > plain
    assert beside(eval={"tokens": None}) > beside(eval={"tokens": 65_536})


def test_a_checkpoint_is_written_now_and_then() -> None:
    """One at the end, and one for each interval of training; never more than steps."""
    cost = dataclasses.replace(training_cost(tiny_config()), checkpoint_seconds=1.0, checkpoint_every_seconds=1e9)
    once = cost.seconds(MEASURED_CPU)
    every = dataclasses.replace(cost, checkpoint_every_seconds=once.steps / 3.5).seconds(MEASURED_CPU)
    assert every.beside == pytest.approx(once.beside + 3)
    always = dataclasses.replace(cost, checkpoint_every_seconds=0.0).seconds(MEASURED_CPU)
    assert always.beside == pytest.approx(once.beside + 11)


def test_a_card_compiles_unless_it_is_told_not_to() -> None:
    """As the trainer does: on a card where the config does not say."""
    by_setting = {
        setting: training_cost(tiny_config(train={"compile": setting})).seconds(H100).beside
        for setting in (None, True, False)
    }
    assert by_setting[None] == by_setting[True] == pytest.approx(by_setting[False] + cost_model.COMPILE_SECONDS)
    assert beside(train={"compile": True}) > beside(train={"compile": None}) == beside(train={"compile": False})


def test_what_is_done_need_not_be_done_again() -> None:
    """A checkpoint saves steps, and nothing beside them."""
    cost = training_cost(tiny_config())
    whole, rest = cost.seconds(MEASURED_CPU), cost.left(0.75).seconds(MEASURED_CPU)
    assert rest.steps == pytest.approx(whole.steps / 4) and rest.beside == pytest.approx(whole.beside)
    assert cost.left(0.75).work == cost.work / 4 and cost.left(0.0) == cost


@pytest.mark.parametrize(
    ("layers", "dim", "heads", "rows", "length", "tokens_per_s"),
    [
        (6, 192, 6, 64, 512, 1_799e3),
        (12, 384, 6, 64, 512, 945e3),
        (9, 512, 8, 64, 512, 1_179e3),
        (6, 192, 6, 8, 256, 140e3),
    ],
)
def test_the_readings_of_an_h100_are_expected(
    layers: int, dim: int, heads: int, rows: int, length: int, tokens_per_s: float
) -> None:
    """Those of docs/gpu.md, bf16 and compiled, within a quarter."""
    train = {"steps": 1001, "precision": "bf16", "batch_sequences": rows, "sequence_tokens": length}
    model = {"num_layers": layers, "dim": dim, "num_heads": heads}
    cost = training_cost(TrialConfig.model_validate({"model": model, "train": train}))
    expected = 1000 * rows * length / cost.seconds(H100).steps
    assert expected == pytest.approx(tokens_per_s, rel=0.25)


def test_replicates_cost_the_same() -> None:
    """One config is looked at once; ids are those of the trials."""
    configs = [tiny_config(seed=seed) for seed in (1, 2)]
    trials = [PlannedTrial(config, "any", 1.0, None, config.trial_id) for config in configs]
    found = costs(trials)
    assert set(found) == {config.trial_id for config in configs} and len(set(map(id, found.values()))) == 1


def test_a_cost_of_work_alone_takes_no_time() -> None:
    """Callers may compare trials without saying what they do."""
    assert Cost(100.0, 1).seconds(MEASURED_CPU).total == 0.0
