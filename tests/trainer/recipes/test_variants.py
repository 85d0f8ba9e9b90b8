"""Every recipe, trained for real at tiny scale: the same claims for all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_config, tiny_recipe
from trial_runs import run, run_broken

from trainer.artifact.read import read
from trainer.config.trial import TrialConfig
from trainer.control import Stopped
from trainer.data.dataset import open_dataset
from trainer.frozen.random_maps import seeded_maps
from trainer.model.initialization import build_networks
from trainer.model.losses import distill_losses
from trainer.model.networks import export_weights, scored_model
from trainer.recipes.variants import RECIPES, break_even_rank, plan
from trainer.score_artifact import reload_and_score
from trainer.training import loop

EVERY_RECIPE = pytest.mark.parametrize("recipe", RECIPES)


@pytest.fixture(autouse=True)
def _unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)


@EVERY_RECIPE
def test_stops_inside_every_phase_leave_the_bits_of_an_unbroken_run(
    recipe: str, data_root: Path, tmp_path: Path
) -> None:
    """Stopped every third step, so inside each phase and at its ends, a trial ends at the same artifact and score."""
    config = tiny_recipe(recipe)
    whole = run(config, folder=tmp_path / "whole", data_root=data_root)
    broken = run_broken(config, tmp_path / "broken", data_root, every=3)
    assert (whole.status, whole.steps) == ("completed", plan(config).total_steps)
    assert (broken.ce, broken.ce_raw, broken.artifact_sha256) == (whole.ce, whole.ce_raw, whole.artifact_sha256)
    assert broken.num_resumes >= 3


@EVERY_RECIPE
def test_the_artifact_alone_scores_and_holds_no_seeded_weight(recipe: str, data_root: Path, tmp_path: Path) -> None:
    """Reloaded it gives the row's ce; what is in it are exactly the weights that are no seeded ones."""
    config = tiny_recipe(recipe)
    result = run(config, folder=tmp_path, data_root=data_root)
    path = tmp_path / "artifact.frost"
    score = reload_and_score(path, dataset=open_dataset("tiny", data_root), device=torch.device("cpu")).score
    assert (score.ce, score.bpb) == (result.ce, result.bpb)
    recipe_plan, stored = plan(config), read(path).weights
    assert set(stored) == {*recipe_plan.names("learned"), *recipe_plan.names("stored_frozen")}
    assert result.num_params == sum(w.num_params for w in recipe_plan.weights.values())
    assert result.num_params_learned == recipe_plan.num_params("learned")


@EVERY_RECIPE
def test_checkpoints_hold_no_seeded_weight(recipe: str, data_root: Path, tmp_path: Path) -> None:
    """The bytes of no seeded map are anywhere in the checkpoint file, and learned ones are."""
    config = tiny_recipe(recipe)
    with pytest.raises(Stopped):
        run(config, folder=tmp_path, data_root=data_root, should_stop=lambda: True)
    content = (tmp_path / "checkpoint" / "state.pt").read_bytes()
    assert not [name for name, values in seeded_maps(config) if values.tobytes()[:64] in content]
    networks = torch.load(tmp_path / "checkpoint" / "state.pt", weights_only=True)["networks"]
    some = next(iter(networks.values()))["embedding"].numpy().tobytes()[:64]
    assert some in content


def test_progressive_freezes_what_it_trained(data_root: Path, tmp_path: Path) -> None:
    """Frozen weights differ from their start, no longer move after the freeze, and are in the artifact."""
    longer = tiny_recipe("progressive", train={"steps": 12}, artifact={"matrix_bits": 8})
    run(longer, folder=tmp_path / "long", data_root=data_root)
    stored = read(tmp_path / "long" / "artifact.frost").weights
    start = export_weights(plan(longer), build_networks(longer))
    # the first phase of this trial is a whole run of 4 steps
    first = run(tiny_config(train={"steps": 4}), folder=tmp_path / "short", data_root=data_root)
    assert first.status == "completed"
    at_freeze = read(tmp_path / "short" / "artifact.frost").weights
    for name in plan(longer).names("stored_frozen"):
        np.testing.assert_array_equal(stored[name], at_freeze[name])
        assert not np.allclose(stored[name], start[name], atol=1e-4)


def test_progressive_costs_the_bytes_of_a_learned_model(data_root: Path, tmp_path: Path) -> None:
    """Freezing at trained values saves nothing: the artifact is as large as the baseline's, within a percent."""
    sizes = [
        run(tiny_recipe(recipe), folder=tmp_path / recipe, data_root=data_root).artifact_bytes or 0
        for recipe in ("baseline", "progressive", "selective")
    ]
    assert abs(sizes[1] - sizes[0]) < 0.01 * sizes[0] and sizes[2] < 0.9 * sizes[0]


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize(("recipe", "freeze", "ratio"), [("progressive", 6, 1.0), ("progressive_distill", 8, 0.5)])
def test_a_carried_on_freeze_keeps_its_schedule_and_a_restarted_one_begins_anew(
    recipe: str, freeze: int, ratio: float, restart: bool, data_root: Path, tmp_path: Path
) -> None:
    """The learning rate after the freeze: back at its peak with `restart`, further down the first curve without.

    `progressive_distill` shares that curve between its last two phases; until it did, it took no note of `restart`.
    """
    import pyarrow.parquet as pq

    split = {"restart": restart, "freeze_at": freeze / 12, "learning_rate_ratio": ratio}
    config = tiny_recipe(recipe, progressive=split)
    run(config, folder=tmp_path, data_root=data_root)
    rates = pq.read_table(tmp_path / "curve.parquet").column("learning_rate").to_pylist()
    peak = ratio * config.optimizer.learning_rate
    assert rates[freeze] == pytest.approx(peak if restart else peak / 2)


def test_the_distillation_loss_is_the_studys() -> None:
    """0.5 CE + 0.5 T² KL with batchmean over flattened tokens, at T = 2; alpha 0 is plain cross-entropy."""
    generator = torch.Generator().manual_seed(0)
    x, embedding = torch.randn(2, 3, 8, generator=generator), torch.randn(16, 8, generator=generator)
    teacher = torch.randn(2, 3, 16, generator=generator)
    targets = torch.randint(0, 16, (2, 3), generator=generator)
    logits = torch.nn.functional.rms_norm(x, (8,), None, 1e-6) @ embedding.T
    ce = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    kl = torch.nn.functional.kl_div(
        torch.log_softmax(logits.flatten(0, 1) / 2, -1),
        torch.softmax(teacher.flatten(0, 1) / 2, -1),
        reduction="batchmean",
    )
    found, found_ce = distill_losses(x, None, embedding, None, False, targets, teacher, 2.0, 0.5)
    torch.testing.assert_close(found.mean(), 0.5 * ce + 0.5 * 4 * kl)
    torch.testing.assert_close(found_ce.mean(), ce)
    plain, _ = distill_losses(x, None, embedding, None, False, targets, teacher, 2.0, 0.0)
    torch.testing.assert_close(plain.mean(), ce)


def test_the_curve_shows_cross_entropy_in_every_phase(data_root: Path, tmp_path: Path) -> None:
    """While learning from a teacher the loss is another one, but the curve goes on in nats of cross-entropy."""
    import pyarrow.parquet as pq

    run(tiny_recipe("progressive_distill"), folder=tmp_path, data_root=data_root)
    train_ce = np.array(pq.read_table(tmp_path / "curve.parquet").column("train_ce").to_pylist())
    assert np.ptp(train_ce) < 0.5 and (train_ce > 5).all()


def test_corrections_begin_as_none() -> None:
    """At the start a corrected model is its uncorrected self: second factors are zero, gains are one."""
    tokens = torch.randint(0, 512, (2, 9), generator=torch.Generator().manual_seed(1))
    everything = {"matrices": ["*"]}
    plain = build_networks(tiny_config(recipe="selective", freeze=everything))["model"](tokens)
    for settings in (
        {"recipe": "scaled_freeze", "freeze": everything},
        {"recipe": "full_adapter", "adapter": {"kind": "vera", "rank": 4}},
        {"recipe": "full_adapter", "adapter": {"kind": "lora", "rank": 4, "channel_gain": True}},
    ):
        torch.testing.assert_close(build_networks(tiny_config(**settings))["model"](tokens), plain)


def test_vera_trains_two_vectors_a_matrix_and_lora_a_pair() -> None:
    """2 * rank numbers a matrix against rank * (in + out), as the code and the text of the study differ."""
    base = {"recipe": "full_adapter", "model": {"num_layers": 6, "dim": 256, "num_heads": 4}}
    others = 1024 * 256 + 256 + 6 * 2 * 256
    vera = plan(TrialConfig.model_validate({**base, "adapter": {"kind": "vera", "rank": 16}}))
    assert vera.num_params("learned") - others == 6 * 7 * 2 * 16
    lora = plan(TrialConfig.model_validate({**base, "adapter": {"kind": "lora", "rank": 16}}))
    assert lora.num_params("learned") - others == 6 * 16 * (4 * 512 + 2 * 768 + 768)


@pytest.mark.parametrize(
    ("shape", "rank"), [((512, 512), 256), ((512, 256), 171), ((1536, 512), 384), ((2048, 512), 410)]
)
def test_break_even_ranks_are_the_known_ones(shape: tuple[int, int], rank: int) -> None:
    """From rank io / (i + o) on, a low-rank pair stores more than the matrix it corrects."""
    assert break_even_rank(shape) == rank


def test_members_of_an_ensemble_differ_and_average() -> None:
    """Members begin at different weights, and the ensemble's loss is that of their mean logits."""
    config = tiny_recipe("ensemble", ensemble={"members": ["learned", "learned", "frozen"]})
    networks = build_networks(config)
    assert not torch.equal(networks["member0"].embedding, networks["member1"].embedding)
    tokens = torch.randint(0, 512, (2, 9), generator=torch.Generator().manual_seed(1))
    mean = sum(network.logits(tokens[:, :-1]) for network in networks.values()) / 3
    losses = torch.nn.functional.cross_entropy(mean.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    torch.testing.assert_close(scored_model(plan(config), networks)(tokens).flatten(), losses)
    assert plan(config).num_params("seeded") == 2 * 2 * 32 * 64
    assert len(plan(config).phases) == 3
