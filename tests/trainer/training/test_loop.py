"""What a freeze changes, through the real loop: no bit of what is frozen, one graph, and the cost of a step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import STUDY, digest, digests, tiny_recipe
from torch import Tensor
from torch.optim import Optimizer
from trial_runs import run

from trainer.config.training import OptimizerConfig
from trainer.config.trial import TrialConfig
from trainer.control import GO_ON, Command
from trainer.data.dataset import open_dataset
from trainer.device import compute_dtype, prepare_device
from trainer.frozen.random_maps import seeded_maps
from trainer.model.gpt import GPT
from trainer.model.initialization import build_networks
from trainer.recipes.variants import plan
from trainer.training import loop
from trainer.training.checkpoint import Checkpoint
from trainer.training.loop import LoopCallbacks, TrainingJob, train
from trainer.training.state import Report, TrainingState

SMALL = {**STUDY, "dim": 16}
SHORT = {"steps": 200, "sequence_tokens": 16, "batch_sequences": 2}


@pytest.fixture(autouse=True)
def _unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_REPORTS", 0.0)


def train_watched(
    config: TrialConfig, data_root: Path, folder: Path, watch: Callable[[int, Mapping[str, GPT]], None]
) -> None:
    """Train a trial's networks through all phases, calling `watch` after every step."""
    prepare_device(torch.device("cpu"), config)
    networks, dataset = build_networks(config), open_dataset("tiny", data_root)
    checkpoint = Checkpoint(
        path=folder / "state.pt", trial_id="", data_sha256=dataset.sha256, accelerator="CPU", device_name=""
    )
    job = TrainingJob(config=config, recipe=plan(config), networks=networks, dataset=dataset)

    def report(progress: Report) -> Command:
        watch(progress.step, networks)
        return GO_ON

    callbacks = LoopCallbacks(report=report)
    train(job, TrainingState(), checkpoint, callbacks)


OPTIMIZERS = pytest.mark.parametrize("optimizer", ["adamw", "muon"])
FREEZES = pytest.mark.parametrize(
    ("recipe", "sections"),
    [
        ("selective", {}),
        ("progressive", {"progressive": {"restart": True}}),
        ("progressive", {"progressive": {"restart": False}}),
        ("progressive_distill", {"progressive": {"restart": True}}),
        ("progressive_distill", {"progressive": {"restart": False}}),
    ],
    ids=["seeded", "progressive", "progressive-carried-on", "distill", "distill-carried-on"],
)


@OPTIMIZERS
@FREEZES
def test_frozen_weights_keep_every_bit(
    recipe: str, sections: dict[str, Any], optimizer: str, data_root: Path, tmp_path: Path
) -> None:
    """From the freeze to the last of 200 steps no frozen weight moves; every learned one does.

    Seeded ones have the bytes of their seed throughout, and those frozen at trained values did move before.
    """
    decaying = {"name": optimizer, "weight_decay": 0.5}
    config = tiny_recipe(recipe, model=SMALL, train=SHORT, optimizer=decaying, **sections)
    seen: dict[int, dict[str, str]] = {}
    train_watched(config, data_root, tmp_path, lambda step, networks: seen.update({step: digests(networks["model"])}))
    planned = plan(config)
    freeze = planned.total_steps - planned.phases[-1].steps or 1
    kept = {name: digest(torch.from_numpy(values)) for name, values in seeded_maps(config)}
    kept |= {name: seen[freeze][name] for name in planned.names("stored_frozen")}
    assert kept and list(seen) == list(range(1, 201))
    assert all(seen[step].items() >= kept.items() for step in range(freeze, 201))
    assert all(seen[200][name] != seen[freeze][name] for name in planned.names("learned"))
    assert all(seen[freeze][name] != seen[1][name] for name in planned.names("stored_frozen"))


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Mapping[str, int]]:
    """The counters of a compiler that captures and guards as ever, but makes no machine code."""
    from torch._dynamo.utils import counters

    counters.clear()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    return counters


@pytest.mark.filterwarnings("default")  # torch.compile's own code warns, of itself
@pytest.mark.parametrize(
    ("recipe", "sections", "expected"),
    [
        # the block and the head; after the freeze the block anew
        ("progressive", {}, (2, 3)),
        ("progressive", {"progressive": {"restart": False}, "freeze": {"layers": "0,2"}}, (2, 3)),
        # from a teacher: its block without gradients, its logits, and the student's loss
        ("progressive_distill", {}, (2, 5, 6)),
        # the same, and the block of a student of another shape
        ("distill", {}, (2, 6)),
    ],
    ids=["progressive", "some-layers-carried-on", "progressive_distill", "distill"],
)
def test_a_freeze_compiles_one_graph_for_all_layers(
    recipe: str,
    sections: dict[str, Any],
    expected: tuple[int, ...],
    compiler: Mapping[str, Mapping[str, int]],
    data_root: Path,
    tmp_path: Path,
) -> None:
    """A phase compiles in its first step, and only what is new in it: once, whole, and for any number of layers.

    Scores and micro-batches in between change nothing, nor does dropout, which scores switch off and on.
    """
    often = {"steps": 12, "compile": True, "eval_every_steps": 2, "micro_batches": 2}
    config = tiny_recipe(recipe, model={**STUDY, "num_layers": 4, "dropout": 0.1}, train=often, **sections)
    seen: list[int] = []

    def watch(report: Report) -> None:
        seen.append(compiler["stats"]["unique_graphs"])

    run(config, folder=tmp_path, data_root=data_root, report=watch)
    phases = zip(plan(config).phases, expected, strict=True)
    assert seen == [count for phase, count in phases for _ in range(phase.steps)]
    assert not compiler["graph_break"]


@pytest.fixture
def paid_for(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], set[str]]]:
    """For every step: the weights that had a gradient before it, and those with state in an optimizer after it."""
    seen: list[tuple[set[str], set[str]]] = []
    real_build = loop.build_optimizers

    def build(model: GPT, config: OptimizerConfig) -> list[Optimizer]:
        optimizers, weights, gradients = real_build(model, config), model.weights(), set[str]()

        def before(*_: object) -> None:
            gradients.update(name for name, weight in weights.items() if weight.grad is not None)

        def after(*_: object) -> None:
            states = {name for name, weight in weights.items() if any(weight in o.state for o in optimizers)}
            seen.append((set(gradients), states))
            gradients.clear()

        optimizers[0].register_step_pre_hook(before)
        optimizers[-1].register_step_post_hook(after)
        return optimizers

    monkeypatch.setattr(loop, "build_optimizers", build)
    return seen


@OPTIMIZERS
@FREEZES
def test_a_frozen_weight_has_no_gradient_and_no_optimizer_state(
    recipe: str,
    sections: dict[str, Any],
    optimizer: str,
    paid_for: list[tuple[set[str], set[str]]],
    data_root: Path,
    tmp_path: Path,
) -> None:
    """In every step after the freeze learned weights alone have them, and before it all that are no seeded ones."""
    config = tiny_recipe(recipe, optimizer={"name": optimizer}, **sections)
    train_watched(config, data_root, tmp_path, lambda step, networks: None)
    planned = plan(config)
    learned, stored = set(planned.names("learned")), {*planned.names("learned"), *planned.names("stored_frozen")}
    after = planned.phases[-1].steps
    assert paid_for[-after:] == [(learned, learned)] * after
    assert paid_for[:-after] == [(stored, stored)] * (planned.total_steps - after)


def test_a_seeded_weight_takes_two_bytes_under_bf16_and_a_trained_one_keeps_its_four() -> None:
    """No float32 master of a seeded map is held where products are bfloat16; a trained one is what gets stored."""
    for precision, itemsize in (("fp32", 4), ("bf16", 2)):
        config = tiny_recipe("selective", train={"precision": precision})
        network = build_networks(config, compute_dtype=compute_dtype(config))["model"]
        held = [*network.parameters(), *network.buffers()]
        expected = 4 * plan(config).num_params("learned") + itemsize * plan(config).num_params("seeded")
        assert sum(tensor.untyped_storage().nbytes() for tensor in held) == expected
    config = tiny_recipe("progressive", train={"precision": "bf16"})
    network = build_networks(config, compute_dtype=compute_dtype(config))["model"]
    network.freeze(plan(config).names("stored_frozen"))
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}


def kept_bytes(config: TrialConfig, *, compiled: bool) -> int:
    """Bytes that a forward pass of the last phase keeps for its backward pass, weights not counted."""
    network = build_networks(config, compute_dtype=compute_dtype(config))["model"]
    network.freeze(plan(config).phases[-1].freezes)
    if compiled:
        torch.compiler.reset()
        network.compile_blocks()
    own = {tensor.untyped_storage().data_ptr() for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    tokens = torch.randint(0, 512, (4, 33), generator=torch.Generator().manual_seed(0))
    is_bf16 = config.train.precision == "bf16"
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=is_bf16),
    ):
        loss = network(tokens, compiled=compiled).mean()  # what it keeps lives as long as it does
    assert loss.requires_grad
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


@pytest.mark.filterwarnings("default")  # torch.compile's own code warns, of itself
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "compiled"])
@pytest.mark.parametrize(("precision", "itemsize"), [("fp32", 4), ("bf16", 2)])
def test_frozen_matrices_keep_no_input_for_a_gradient(
    precision: str, itemsize: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With gate and up frozen, a step keeps one (b, t, d) less a layer than the control: the input of their product.

    That is memory at its peak, between forward and backward; as bfloat16 on a device that has units for it.
    """
    # divides forward from backward as the default compiler does, and makes no machine code
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager_decomp_partition"))
    of = {
        recipe: kept_bytes(tiny_recipe(recipe, train={"precision": precision}), compiled=compiled)
        for recipe in ("baseline", "selective", "progressive")
    }
    saved = STUDY["num_layers"] * 4 * 32 * STUDY["dim"] * itemsize
    assert of["baseline"] - of["selective"] == of["baseline"] - of["progressive"] == saved
