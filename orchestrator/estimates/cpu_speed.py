"""The speed of this machine's CPU, measured in about a fifth of a second with numpy: `frostline plan` loads no torch.

Four things bound a trial on a CPU: matrix products, bytes in the cache, bytes of memory that is taken from the system
anew, and the operations themselves. numpy is timed on each; torch's speed follows in the proportion that both had on
one core of an AMD EPYC (family 26), where torch's own was fitted to trials. So another processor is expected to be as
much faster in torch as it is in numpy.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.estimates.speeds import MEASURED_CPU, Speed

SECONDS_OF_EACH = 0.05
# What numpy does in a second on that core: products, bytes in the cache, bytes of new memory, operations.
NUMPY_THERE: Mapping[str, float] = {"products": 1.25e11, "cached": 1.65e11, "fresh": 4.1e10, "operations": 3.7e6}
CPU_INFO = Path("/proc/cpuinfo")
# Of float32's rate, bfloat16's without units for it, where it is taken by rounding. Not measured.
ROUNDED_BF16_SHARE = 0.5


@functools.cache
def measured_cpu() -> Speed:
    """The speed of one core of this machine, measured once a process, by processor time: of a core of one's own."""
    return speed_by(numpy_rates(), has_bf16_units=_has_bf16_units())


def speed_by(rates: Mapping[str, float], *, has_bf16_units: bool) -> Speed:
    """The speed of a core on which numpy reaches these rates."""
    over = {name: rates[name] / NUMPY_THERE[name] for name in NUMPY_THERE}
    known = MEASURED_CPU
    fp32 = known.fp32_flops * over["products"]
    bf16_share = known.bf16_flops / known.fp32_flops if has_bf16_units else ROUNDED_BF16_SHARE
    return dataclasses.replace(
        known,
        fp32_flops=fp32,
        bf16_flops=fp32 * bf16_share,
        bytes_per_second=known.bytes_per_second * over["cached"],
        large_bytes_per_second=known.large_bytes_per_second * over["fresh"],
        seconds_per_launch=known.seconds_per_launch / over["operations"],
        host=known.host / over["operations"],
    )


def numpy_rates(clock: Callable[[], float] = time.thread_time) -> dict[str, float]:
    """What numpy does in a second on one core: FLOPs of products, bytes moved, and small operations."""
    import numpy as np

    from orchestrator.blas_threads import one_blas_thread

    left, right = np.ones((512, 128), np.float32), np.ones((128, 512), np.float32)
    product = np.empty((512, 512), np.float32)
    cached, small = np.ones(2**17, np.float32), np.ones(8, np.float32)  # half a MiB
    large = np.ones(2**23, np.float32)  # 32 MiB
    with one_blas_thread():
        return {
            "products": 2.0 * 512 * 512 * 128 * _rate(lambda: np.matmul(left, right, out=product), clock),
            "cached": 3.0 * cached.nbytes * _rate(lambda: np.multiply(cached, cached), clock),
            "fresh": 3.0 * large.nbytes * _rate(lambda: np.multiply(large, large), clock),
            "operations": _rate(lambda: np.multiply(small, small), clock),
        }


def _rate(operation: Callable[[], object], clock: Callable[[], float]) -> float:
    """How often a second: the best of rounds that double, so that one that was disturbed does not count."""
    operation()
    best, count, started = 0.0, 1, clock()
    while clock() - started < SECONDS_OF_EACH:
        before = clock()
        for _ in range(count):
            operation()
        taken = clock() - before
        best = max(best, count / taken) if taken > 0 else best
        count = count * 2 if taken < SECONDS_OF_EACH / 10 else count
    return best


def _has_bf16_units() -> bool:
    try:
        flags = CPU_INFO.read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
