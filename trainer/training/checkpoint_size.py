"""Checkpoint size before training: an upper bound from a config's shapes. Free of torch."""

from __future__ import annotations

from trainer.config.trial import TrialConfig
from trainer.recipes.variants import plan
from trainer.result import NUM_CURVE_POINTS
from trainer.training.looks import SHARES

WEIGHT_BYTES = 4  # fp32, whatever precision the steps have
OPTIMIZER_BYTES = 8  # of a weight that is trained: two moments of Adam; Muon has one
TENSOR_BYTES = 1_000  # of a tensor's names, padding and places in the file
CURVE_POINT_BYTES = 200
FIXED_BYTES = 20_000  # counters, owner, settings of the optimizers


def most_checkpoint_bytes(config: TrialConfig) -> int:
    """No checkpoint of this config is larger: the weights of every network and the optimizers of the largest.

    Seeded weights are made again, and are in no checkpoint.
    """
    networks = [
        [weight.num_params for weight in network.weights.values() if weight.kind != "seeded"]
        for network in plan(config).networks.values()
    ]
    largest, num_largest = max(map(sum, networks)), max(map(len, networks))
    num_tensors = sum(map(len, networks)) + 3 * num_largest  # two moments and a step of each weight
    return (
        WEIGHT_BYTES * sum(map(sum, networks))
        + OPTIMIZER_BYTES * largest
        + TENSOR_BYTES * num_tensors
        + CURVE_POINT_BYTES * most_curve_points(config)
        + FIXED_BYTES
    )


def most_curve_points(config: TrialConfig) -> int:
    """No curve of this config has more points: even ones, those where it is scored or looked at, and the last."""
    every = config.train.eval_every_steps
    return NUM_CURVE_POINTS + (plan(config).total_steps // every if every else 0) + len(SHARES) + 1
