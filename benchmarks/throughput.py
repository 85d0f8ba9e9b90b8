"""Training tokens per second against transformers' LlamaForCausalLM of the same shape.

Both are compiled, both train in the same precision with fused AdamW on the same tokens, in one process and in turns
(A B A B …), so that a machine whose speed drifts slows both. Prints the median of each and of the pairwise ratio.

    pip install -c constraints.txt -e '.[bench]'
    python benchmarks/throughput.py --pairs 7
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import AdamW

from trainer.config.trial import TrialConfig
from trainer.device import compute_dtype, place, precision
from trainer.model.initialization import build_networks
from trainer.training.optimizers import build_optimizers

Step = Callable[[Tensor], None]


def frostline_step(config: TrialConfig, device: torch.device) -> Step:
    """One training step of frostline's model as the trainer takes it."""
    model = place(build_networks(config, compute_dtype=compute_dtype(config))["model"], config, device)
    model.compile_blocks()
    optimizers = build_optimizers(model, config.optimizer)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_rate"]

    def step(tokens: Tensor) -> None:
        with precision(device, config):
            loss = model(tokens, compiled=True).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def llama_step(config: TrialConfig, device: torch.device) -> Step:
    """The same of LlamaForCausalLM: equal width, depth, heads, MLP width, vocabulary and tying."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model = config.model
    llama_config = LlamaConfig(
        vocab_size=model.vocab_size,
        hidden_size=model.dim,
        intermediate_size=model.mlp_dim,
        num_hidden_layers=model.num_layers,
        num_attention_heads=model.num_heads,
        num_key_value_heads=model.kv_heads,
        max_position_embeddings=config.train.sequence_tokens,
        tie_word_embeddings=True,
        use_cache=False,
    )
    llama = LlamaForCausalLM(llama_config).to(device)
    compiled = torch.compile(llama, dynamic=False)
    optimizer = AdamW(llama.parameters(), lr=config.optimizer.learning_rate, weight_decay=0.1, fused=True)

    def step(tokens: Tensor) -> None:
        inputs = tokens[:, :-1].contiguous()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.train.precision == "bf16"):
            # transformers shifts labels itself
            loss = compiled(input_ids=inputs, labels=inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(llama.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def seconds_of(step: Step, tokens: Tensor, num_steps: int) -> float:
    """Seconds of `num_steps` steps, the device waited for."""
    _wait(tokens.device)
    started = time.perf_counter()
    for _ in range(num_steps):
        step(tokens)
    _wait(tokens.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(name_a: str, a: Step, name_b: str, b: Step, tokens: Tensor, *, num_pairs: int, num_steps: int) -> None:
    """Time two steps in turns and print medians and the ratio pair by pair."""
    num_tokens = num_steps * tokens.shape[0] * (tokens.shape[1] - 1)
    for step in (a, b):
        seconds_of(step, tokens, 3)
    pairs = [(seconds_of(a, tokens, num_steps), seconds_of(b, tokens, num_steps)) for _ in range(num_pairs)]
    for name, seconds in zip((name_a, name_b), zip(*pairs, strict=True), strict=True):
        print(f"{name:<28}{num_tokens / statistics.median(seconds):>12,.0f} tokens/s (median of {num_pairs})")
    ratios = sorted(of_b / of_a for of_a, of_b in pairs)
    print(f"ratio {statistics.median(ratios):.3f} (min {ratios[0]:.3f}, max {ratios[-1]:.3f})")


def shape_options(doc: str | None) -> argparse.ArgumentParser:
    """A command line with the shape that is trained."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--sequence-tokens", type=int, default=256)
    parser.add_argument("--batch-sequences", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def config_of(options: argparse.Namespace, *, recipe: str, precision: str) -> TrialConfig:
    """The trial of this shape."""
    return TrialConfig.model_validate(
        {
            "recipe": recipe,
            "num_threads": options.threads,
            "model": {"num_layers": options.layers, "dim": options.dim, "num_heads": options.heads},
            "train": {
                "sequence_tokens": options.sequence_tokens,
                "batch_sequences": options.batch_sequences,
                "precision": precision,
            },
        }
    )


def random_tokens(config: TrialConfig, device: torch.device) -> Tensor:
    """One batch, always the same: what the tokens are does not change what a step costs."""
    shape = (config.train.batch_sequences, config.train.sequence_tokens + 1)
    return torch.randint(0, config.model.vocab_size, shape, generator=torch.Generator().manual_seed(0)).to(device)


def main() -> None:
    parser = shape_options(__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="steps of one timing")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config, frozen = (config_of(options, recipe=r, precision=options.precision) for r in ("baseline", "selective"))
    tokens = random_tokens(config, device)
    times = {"num_pairs": options.pairs, "num_steps": options.steps}
    ours = frostline_step(config, device)
    compare("frostline baseline", ours, "transformers Llama", llama_step(config, device), tokens, **times)
    compare("frostline selective", frostline_step(frozen, device), "frostline baseline", ours, tokens, **times)


if __name__ == "__main__":
    main()
