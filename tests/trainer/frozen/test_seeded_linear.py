from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainer.frozen.random_maps import map_sha256, map_values
from trainer.frozen.seeded_linear import SeededLinear

WHERE = {"seed": 7, "layer": "blocks.0.gate", "scheme": "normal"}


def layer(dtype: torch.dtype = torch.float32, **changes: object) -> SeededLinear:
    return SeededLinear(32, 48, dtype=dtype, **{**WHERE, **changes})


def expected() -> np.ndarray:
    return map_values("normal", shape=(48, 32), seed=7, layer="blocks.0.gate")


class Small(nn.Module):
    """A model with one frozen map between two learned ones."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.first = nn.Linear(16, 32, bias=False)
        self.frozen = layer(dtype)
        self.last = nn.Linear(48, 8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.frozen(self.first(x))))


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def test_weight_is_the_map() -> None:
    """The weight is the seeded map in float32, or that rounded once to bfloat16, ties to even."""
    assert map_sha256(layer().weight.numpy()) == map_sha256(expected())
    words = expected().view(np.uint32).astype(np.uint64)
    rounded = ((words + 0x7FFF + (words >> 16 & 1)) >> 16).astype(np.uint16)
    assert bits(layer(torch.bfloat16).weight) == rounded.tobytes()


def test_nothing_stores_it() -> None:
    """The weight is no parameter, needs no gradient, is in no state dict, and strict loading does not miss it."""
    model = Small()
    assert list(model.frozen.parameters()) == [] and not model.frozen.weight.requires_grad
    assert set(model.state_dict()) == {"first.weight", "last.weight"}
    Small().load_state_dict(model.state_dict(), strict=True)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        Small().load_state_dict({**model.state_dict(), "frozen.weight": model.frozen.weight}, strict=True)


def test_forward() -> None:
    """The layer is x @ weight.T, in the precision of x, or in autocast's."""
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.bfloat16):
        module = layer(dtype)
        assert torch.equal(module(x), x @ module.weight.float().T)
        assert torch.equal(module(x.bfloat16()), x.bfloat16() @ module.weight.bfloat16().T)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(module(x), x.bfloat16() @ module.weight.bfloat16().T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_casting_the_parent_does_not_corrupt(dtype: torch.dtype) -> None:
    """No cast, move, copy or re-allocation of a parent, alone or in a row, changes a bit or the precision."""
    before = bits(layer(dtype).weight)
    changes = [
        lambda m: m.half(),
        lambda m: m.bfloat16(),
        lambda m: m.double(),
        lambda m: m.to(torch.float16).float(),
        lambda m: m.half().bfloat16().float(),
        lambda m: m.to("cpu", torch.bfloat16),
        lambda m: m.to(memory_format=torch.channels_last),
        lambda m: m.to_empty(device="cpu"),
        lambda m: m.to("meta").to_empty(device="cpu"),
        lambda m: copy.deepcopy(m),
        lambda m: pickle.loads(pickle.dumps(m)),
    ]
    for change in changes:
        model = change(Small(dtype))
        assert model.frozen.weight.dtype == dtype
        assert bits(model.frozen.weight) == before
        assert "frozen.weight" not in model.state_dict()


def test_moves_with_the_model() -> None:
    """A device move of the parent takes the weight along."""
    assert Small().to("meta").frozen.weight.is_meta
    with torch.device("meta"):
        assert not layer().weight.is_meta


@pytest.mark.gpu
def test_same_on_a_gpu() -> None:
    """On a CUDA device the weight holds the same bytes, in both precisions, and comes back unchanged."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for dtype in (torch.float32, torch.bfloat16):
        module = Small(dtype).cuda().half()
        assert module.frozen.weight.is_cuda
        assert bits(module.frozen.weight.cpu()) == bits(layer(dtype).weight)
        assert bits(module.float().cpu().frozen.weight) == bits(layer(dtype).weight)


def test_no_weight_gradient() -> None:
    """The backward graph leads from the output to the input alone, and keeps no activation for a weight gradient."""
    module, kept = layer(), []
    x = torch.randn(4, 32, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        y = module(x)
    assert kept == [torch.Size([48, 32])] or kept == [torch.Size([32, 48])]
    edges = [edge for edge, _ in y.grad_fn.next_functions if edge is not None]
    assert len(edges) == 1
    y.sum().backward()
    assert x.grad is not None and module.weight.grad is None
    assert not module(x.detach()).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_leaves_it_alone(dtype: torch.dtype) -> None:
    """200 steps of AdamW and of Muon, both with strong weight decay, move everything but the frozen map."""
    model = Small(dtype)
    before, learned = bits(model.frozen.weight), model.first.weight.detach().clone()
    optimizers = [
        torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5),
        torch.optim.Muon(model.parameters(), lr=0.01, weight_decay=0.5),
    ]
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        model(torch.randn(8, 16, generator=generator)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert bits(model.frozen.weight) == before == bits(layer(dtype).weight)
    assert not torch.equal(model.first.weight, learned)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the compiler's own imports
def test_compiles_whole() -> None:
    """torch.compile(fullgraph=True) takes the layer in one graph, with and without autocast, forward and backward."""
    model = Small()
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(4, 16)
    assert torch.allclose(compiled(x), model(x), atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = compiled(x)
        assert y.dtype == torch.bfloat16 and torch.allclose(y, model(x), atol=0.05)
    compiled(x).sum().backward()
    assert model.first.weight.grad is not None
