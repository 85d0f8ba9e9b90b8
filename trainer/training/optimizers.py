"""Optimizers: AdamW for everything, or Muon for the block matrices and Adam for the rest."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from trainer.config.training import OptimizerConfig
from trainer.model.gpt import GPT
from trainer.recipes.weight_shapes import is_matrix


def build_optimizers(model: GPT, config: OptimizerConfig) -> list[Optimizer]:
    """The optimizers of a model's learned weights; each group carries its `peak_rate`.

    Muon's groups are those of the competition baseline: block matrices to Muon (Jordan et al., 2024), the tied
    embedding and all vectors to Adam at rates of their own, weight decay on the matrices alone. Frozen weights are
    buffers and reach no optimizer, so neither decay nor momentum can move them.
    """
    weights = {name: weight for name, weight in model.weights().items() if weight.requires_grad}
    if config.name == "adamw":
        return [_adam([_group(weights.values(), config.learning_rate, config.weight_decay)], config)]
    matrices = [w for name, w in weights.items() if is_matrix(name)]
    vectors = [w for name, w in weights.items() if not is_matrix(name) and name != "embedding"]
    groups = [_group([weights["embedding"]], config.embedding_learning_rate, 0.0)]
    if vectors:
        groups.append(_group(vectors, config.vector_learning_rate, 0.0))
    optimizers: list[Optimizer] = [_adam(groups, config)]
    if matrices:
        group = _group(matrices, config.learning_rate, config.weight_decay)
        optimizers.append(Muon([group], lr=config.learning_rate, momentum=config.momentum, adjust_lr_fn="original"))
    return optimizers


def set_step(optimizers: Iterable[Optimizer], config: OptimizerConfig, *, factor: float, step: int) -> None:
    """Set every group's rate to `factor` times its peak, and Muon's momentum to that of `step`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group["peak_rate"]
            if isinstance(optimizer, Muon):
                group["momentum"] = momentum_at(config, step)


def momentum_at(config: OptimizerConfig, step: int) -> float:
    """Muon's momentum at `step`: linear from `momentum_start` to `momentum` over `momentum_warmup_steps`."""
    share = min(1.0, step / config.momentum_warmup_steps) if config.momentum_warmup_steps else 1.0
    return config.momentum_start + share * (config.momentum - config.momentum_start)


def _group(weights: Iterable[nn.Parameter], peak_rate: float, weight_decay: float) -> dict[str, object]:
    return {"params": list(weights), "peak_rate": peak_rate, "weight_decay": weight_decay}


def _adam(groups: list[dict[str, object]], config: OptimizerConfig) -> Optimizer:
    return AdamW(groups, lr=0.0, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True)
