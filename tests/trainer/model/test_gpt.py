from __future__ import annotations

import pytest
import torch
from tiny import COMPETITION, STUDY, build, tiny_config, tiny_recipe
from torch import Tensor

from trainer.model.gpt import GPT, Block, rotate
from trainer.model.initialization import build_networks
from trainer.model.networks import export_weights, load_networks, scored_model
from trainer.recipes.variants import RECIPES, plan

FAMILIES = pytest.mark.parametrize("model", [STUDY, COMPETITION], ids=["study", "competition"])


def tokens(num_sequences: int = 2, num_tokens: int = 17) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 512, (num_sequences, num_tokens), generator=generator)


@FAMILIES
def test_the_model_is_causal(model: dict[str, object]) -> None:
    """Changing a later token changes no earlier loss."""
    gpt = build(tiny_config(model={**model, "zero_init_projections": False}))
    changed = tokens()
    changed[:, 10] = (changed[:, 10] + 1) % 512
    before, after = gpt(tokens()), gpt(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.equal(before[:, 9:], after[:, 9:])


@FAMILIES
def test_a_fresh_model_is_as_good_as_guessing(model: dict[str, object]) -> None:
    """At the start the loss is near ln(vocabulary)."""
    assert abs(build(tiny_config(model=model))(tokens(8)).mean().item() - torch.tensor(512.0).log().item()) < 0.3


def test_freezing_leaves_every_other_weight_where_its_control_starts() -> None:
    """A selective trial and its baseline begin at the same values of all weights that both learn."""
    control, frozen = build(tiny_config()).weights(), build(tiny_config(recipe="selective")).weights()
    assert len(frozen) < len(control)
    assert all(torch.equal(weight, control[name]) for name, weight in frozen.items())


def test_the_start_follows_the_seed_and_no_global_generator() -> None:
    """Another seed is another start; torch's own generator has no say in it."""
    torch.manual_seed(1)
    one = build(tiny_config(seed=1)).weights()
    torch.manual_seed(2)
    same, other = build(tiny_config(seed=1)).weights(), build(tiny_config(seed=2)).weights()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.0.q"], other["blocks.0.q"])


def test_every_learned_weight_gets_a_gradient_and_no_frozen_one_does() -> None:
    """Backward reaches all parameters; frozen maps are buffers and have no gradient to get."""
    gpt = build(tiny_config(recipe="selective"))
    gpt(tokens()).mean().backward()
    assert all(weight.grad is not None for weight in gpt.weights().values())
    assert all(buffer.grad is None and not buffer.requires_grad for buffer in gpt.buffers())


def test_maps_that_share_an_input_give_the_same_whether_fused_or_alone() -> None:
    """One product for gate and up equals two products."""
    block = build(tiny_config()).blocks[0]
    assert isinstance(block, Block)
    x = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(3))
    alone = block.down(torch.nn.functional.gelu(block.gate(x)) * block.up(x))
    torch.testing.assert_close(block.mix(x), alone)


def test_rotation_keeps_lengths_and_depends_on_distance_alone() -> None:
    """Rotary positions: norms stay, and a query-key product depends on how far apart the two are."""
    gpt = build(tiny_config(model={**STUDY, "rope_dims": 8}))
    cosine, sine = gpt._rotations(12, torch.device("cpu"))
    one = torch.randn(1, 1, 1, 16, generator=torch.Generator().manual_seed(4))
    query, key = (rotate(v.expand(1, 12, 1, 16), cosine, sine)[0, :, 0] for v in (one, one.flip(-1)))
    torch.testing.assert_close(query.norm(dim=-1), one.norm().expand(12))
    products = query @ key.T
    torch.testing.assert_close(products[5, 2], products[9, 6])
    torch.testing.assert_close(query[:, 8:], one[0, 0, :, 8:].expand(12, 8))


def reference_logits(gpt: GPT, inputs: Tensor) -> Tensor:
    """The competition baseline's forward pass, as its published script has it: `num_layers // 2` encoder blocks push
    their output, each decoder block first takes one from the top while there are any.
    """

    def norm(x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)

    def attention(block: Block, x: Tensor) -> Tensor:
        heads, kv_heads, e = gpt.model.num_heads, gpt.model.kv_heads, gpt.model.head_dim
        b, t, _ = x.shape
        angles = torch.outer(torch.arange(t).double(), 10_000.0 ** (-torch.arange(0, e, 2).double() / e))
        cosine, sine = angles.cos().float(), angles.sin().float()

        def rotated(x: Tensor) -> Tensor:  # (b, n, t, e)
            first, second = x.chunk(2, dim=-1)
            return torch.cat([first * cosine + second * sine, second * cosine - first * sine], dim=-1)

        q, k, v = (x @ weight.weight.T for weight in (block.q, block.k, block.v))
        q, k, v = (one.view(b, t, -1, e).transpose(1, 2) for one in (q, k, v))
        q, k = rotated(norm(q)), rotated(norm(k))
        assert block.q_gain is not None
        q = q * block.q_gain[:, None, None]
        k, v = (one.repeat_interleave(heads // kv_heads, dim=1) for one in (k, v))
        scores = (q @ k.transpose(-1, -2) / e**0.5).masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf)
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1) @ block.o.weight.T

    x = x0 = norm(gpt.embedding[inputs])
    num_encoders, pushed = gpt.model.num_layers // 2, list[Tensor]()
    for layer, block in enumerate(gpt.blocks):
        assert isinstance(block, Block) and block.input_mix is not None
        if layer >= num_encoders and pushed:
            assert gpt.skip_gains is not None
            x = x + gpt.skip_gains[layer - num_encoders] * pushed.pop()
        x = block.input_mix[0] * x + block.input_mix[1] * x0
        x = x + block.attention_scale * attention(block, norm(x))
        x = x + block.mlp_scale * ((norm(x) @ block.fc.weight.T).relu().square() @ block.proj.weight.T)
        if layer < num_encoders:
            pushed.append(x)
    return 30 * torch.tanh(norm(x) @ gpt.embedding.T / 30)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("num_layers", range(1, 13))
def test_the_competition_family_is_the_published_model_at_every_depth(num_layers: int, frozen: bool) -> None:
    """Logits equal those of an independent forward pass, with all matrices learned and with some frozen."""
    freeze = {"recipe": "selective", "freeze": {"matrices": ["fc", "q"]}} if frozen else {}
    gpt = build(tiny_config(model={**COMPETITION, "num_layers": num_layers}, **freeze))
    generator = torch.Generator().manual_seed(num_layers)
    with torch.no_grad():
        for weight in gpt.weights().values():  # every gain and skip away from the 0 or 1 that it begins at
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
        difference = gpt.logits(tokens()) - reference_logits(gpt, tokens())
    assert difference.abs().max() < 1e-6
    assert len(gpt.skip_gains if gpt.skip_gains is not None else []) == num_layers // 2


def test_the_competition_baseline_has_its_published_size() -> None:
    """9 layers of width 512 with 1,024 tokens: 17,059,912 parameters."""
    model = {
        "family": "competition",
        "vocab_size": 1024,
        "num_layers": 9,
        "dim": 512,
        "num_heads": 8,
        "num_kv_heads": 4,
    }
    assert plan(tiny_config(model=model)).num_params() == 17_059_912


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch.compile's own code warns, of itself
def test_one_compiled_block_serves_all_layers_and_gives_the_same_losses() -> None:
    """Compiling makes two graphs, block and head, however many layers there are; losses agree with plain PyTorch."""
    from torch._dynamo.utils import counters

    for model in (STUDY, {**COMPETITION, "num_layers": 4}):
        torch.compiler.reset()
        counters.clear()
        gpt = build(tiny_config(model=model))
        gpt.compile_blocks()
        compiled = gpt(tokens(), compiled=True)
        compiled.mean().backward()
        assert counters["stats"]["unique_graphs"] == 2
        torch.testing.assert_close(compiled, gpt(tokens()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_weights_survive_export_and_load(recipe: str) -> None:
    """Clean networks of any recipe with exported weights give the same losses bit for bit."""
    config = tiny_recipe(recipe, seed=5)
    networks, planned = build_networks(config), plan(config)
    clean = load_networks(config, export_weights(planned, networks))
    assert torch.equal(scored_model(planned, networks)(tokens()), scored_model(planned, clean)(tokens()))
