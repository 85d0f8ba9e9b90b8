"""What PyTorch really does in a step: its calls, the bytes that they read and write, FLOPs, and what is kept."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from trainer.config.trial import TrialConfig
from trainer.device import precision
from trainer.model.initialization import build_networks
from trainer.recipes.variants import plan
from trainer.training.loop import _losses
from trainer.training.optimizers import build_optimizers

# Calls that compute nothing.
FREE = ("view", "_unsafe_view", "detach", "alias", "empty", "empty_like", "reshape", "expand")


@dataclasses.dataclass
class Calls:
    """Of one step: calls, bytes and FLOPs of forward and backward, and of clipping and update; bytes that were kept."""

    launches: int = 0
    bytes_moved: int = 0
    flops: int = 0
    update_launches: int = 0
    update_bytes: int = 0
    update_flops: int = 0
    kept_bytes: int = 0


class _Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.launches = self.bytes_moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func.__name__.partition(".")[0] not in FREE:
            tensors = [x for x in tree_flatten((args, kwargs, result))[0] if isinstance(x, torch.Tensor)]
            self.launches += 1
            self.bytes_moved += sum(x.numel() * x.element_size() for x in tensors)
        return result


def calls_of(config: TrialConfig) -> Calls:
    """Of one step of the last phase, in one micro-batch, on the CPU."""
    phase, networks = plan(config).phases[-1], build_networks(config)
    network, teacher = networks[phase.network], networks[phase.teacher] if phase.teacher else None
    network.freeze(phase.freezes)
    optimizers = build_optimizers(network, config.optimizer)
    own = {tensor.untyped_storage().data_ptr() for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    size = (config.train.batch_sequences, config.train.sequence_tokens + 1)
    tokens = torch.randint(0, config.model.vocab_size, size)
    count, flops = _Count(), FlopCounterMode(display=False)
    with flops, count, precision(torch.device("cpu"), config):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = _losses(network, teacher, tokens, config)[0].mean()
        kept_bytes = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
        kept.clear()
        loss.backward()
    update, update_flops = _Count(), FlopCounterMode(display=False)
    with update_flops, update:
        torch.nn.utils.clip_grad_norm_([p for p in network.parameters() if p.requires_grad], 1.0)
        for optimizer in optimizers:
            optimizer.step()
    return Calls(
        launches=count.launches,
        bytes_moved=count.bytes_moved,
        flops=flops.get_total_flops(),
        update_launches=update.launches,
        update_bytes=update.bytes_moved,
        update_flops=update_flops.get_total_flops(),
        kept_bytes=kept_bytes,
    )
