"""Phase changes, through the real loop: what is frozen stays as it is, and one graph a change is compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import STUDY, digest, digests, tiny_recipe

from trainer import loop
from trainer.checkpoint import Checkpoint
from trainer.config import TrialConfig
from trainer.data import open_dataset
from trainer.device import prepare_device
from trainer.loop import Hooks, Ledger, Report, train
from trainer.model import GPT
from trainer.networks import build_networks
from trainer.recipes import plan
from trainer.run import run
from trainer.seeds import seeded_maps

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
    checkpoint = Checkpoint(path=folder / "state.pt", trial_id="", data_sha256=dataset.sha256, device_name="")
    hooks = Hooks(report=lambda report: watch(report.step, networks))
    train(networks, config, plan(config), dataset, Ledger(), checkpoint=checkpoint, hooks=hooks)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(
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
