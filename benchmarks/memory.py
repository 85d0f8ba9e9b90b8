"""Peak memory of training with frozen matrices against the fully learned control of the same shape.

Each is trained for a few steps on the same tokens, compiled, in a fresh process, and in turns (A B A B …). On CUDA the
figure is the allocator's peak, on a CPU how far the resident memory rose above what it was before the model was built;
either way the compiler has done its work before, on another model, so that its own memory does not count. Without a
CUDA device, bf16 has no units on most processors and is taken by rounding, which needs more memory than fp32.

    python benchmarks/memory.py --repeats 3
"""

from __future__ import annotations

import gc
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from throughput import config_of, frostline_step, random_tokens, shape_options

from trainer.config.trial import TrialConfig
from trainer.device import prepare_device
from trainer.device_facts import peak_memory_bytes, reset_peak_memory

RECIPES = ("selective", "baseline")


def training_bytes(config: TrialConfig, num_steps: int) -> int:
    """What training takes at its peak beyond what this process held before."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(config.num_threads)
    _train(config, device, 2)
    gc.collect()  # the first model is a cycle: left alive, it would count as held before, and not as trained
    prepare_device(device, config)
    reset_peak_memory(device)
    before = peak_memory_bytes(device)
    _train(config, device, num_steps)
    after = peak_memory_bytes(device)
    if before is None or after is None:
        raise SystemExit("this system does not tell the peak of a process (no VmHWM in /proc/self/status)")
    return after - before


def _train(config: TrialConfig, device: torch.device, num_steps: int) -> None:
    step, tokens = frostline_step(config, device), random_tokens(config, device)
    for _ in range(num_steps):
        step(tokens)


def in_fresh_process(config: TrialConfig, num_steps: int) -> int:
    """`training_bytes` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(training_bytes, config, num_steps).result()


def compare(configs: dict[str, TrialConfig], *, num_repeats: int, num_steps: int) -> None:
    """Measure in turns and print the median of each and of the ratio of the first to the second."""
    rounds = [[in_fresh_process(config, num_steps) for config in configs.values()] for _ in range(num_repeats)]
    for name, found in zip(configs, zip(*rounds, strict=True), strict=True):
        print(f"{name:<28}{statistics.median(found) / 1e6:>12,.1f} MB (median of {num_repeats})")
    ratios = sorted(first / second for first, second in rounds)
    print(f"ratio {statistics.median(ratios):.3f} (min {ratios[0]:.3f}, max {ratios[-1]:.3f})")


def main() -> None:
    parser = shape_options(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    # glibc: every tensor is returned to the system when it dies, so that what the allocator kept does not count;
    # the figures of two processes then differ by 0.2 MB, else by 10. The processes started from here read it.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    for precision in ("fp32", "bf16"):
        configs = {f"{name}, {precision}": config_of(options, recipe=name, precision=precision) for name in RECIPES}
        compare(configs, num_repeats=options.repeats, num_steps=options.steps)


if __name__ == "__main__":
    main()
