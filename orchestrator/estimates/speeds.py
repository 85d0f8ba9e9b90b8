"""How fast devices are, by kind: rates, bandwidth, the cost of an operation, and how sure that is.

The CPU's were measured on one core of an AMD EPYC (family 26); see `cpu_speed.py`. Those of cards were **not
measured**: they are the makers' published peaks (dense, without sparsity) times a usual utilisation. Only the seconds
of an operation on a card's host come from readings: the four of docs/gpu.md, on one H100.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from orchestrator.estimates.log_ratio import Doubt
from orchestrator.estimates.operations import Operations

CPU = "CPU"
COMPILED_BYTES = 0.4  # of the bytes moved without a compiler, as fused operations read and write once
SHARE_OF_SECOND_THREAD = 0.7
DOUBT_OF_CARDS = Doubt(sigma=math.log(2), scatter=0.25)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """What a device does in a second.

    Args:
        fp32_flops, bf16_flops: a second, in matrix products.
        bytes_per_second: of tensors that stay with the allocator; `large_bytes_per_second` of those above 32 MiB.
        seconds_per_launch: of one operation, whatever its size.
        overlaps: the host starts operations while the device computes, so that the slower of the two counts.
        host: how long the host takes for its own part (start, packing), over one core of the measured CPU.
        doubt: of log(seconds that trials take / seconds that are expected).
    """

    fp32_flops: float
    bf16_flops: float
    bytes_per_second: float
    large_bytes_per_second: float
    seconds_per_launch: float
    overlaps: bool = False
    host: float = 1.0
    doubt: Doubt = DOUBT_OF_CARDS

    def seconds(self, work: Operations, *, precision: str, num_threads: int = 1, compiled: bool = False) -> float:
        """Seconds that the device takes for `work`. Args: `precision`: of the products, `fp32` or `bf16`."""
        flops = self.bf16_flops if precision == "bf16" else self.fp32_flops
        bytes_share = COMPILED_BYTES if compiled else 1.0
        moving = work.bytes_moved / self.bytes_per_second + work.large_bytes / self.large_bytes_per_second
        computing = work.flops / flops + work.update_flops / self.bf16_flops + moving * bytes_share
        starting = work.launches * self.seconds_per_launch
        if self.overlaps:
            return max(computing, starting)
        return computing / (1 + SHARE_OF_SECOND_THREAD * (num_threads - 1)) + starting


# One core of an AMD EPYC (family 26) that does nothing else; see docs/forecast.md. Other processors: `cpu_speed.py`.
MEASURED_CPU = Speed(
    fp32_flops=180e9,
    bf16_flops=180e9,
    bytes_per_second=12e9,
    large_bytes_per_second=4.3e9,
    seconds_per_launch=4.2e-6,
    doubt=Doubt(sigma=0.3, scatter=0.12),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """What a maker says of a card: TFLOP/s of dense products, GB/s, and GB of memory (10^9 bytes).

    `bf16` is that of float32 where the card has no units for bfloat16.
    """

    bf16: float
    fp32: float
    bandwidth: float
    memory: float


# By the names that Ray has for them, or that a node's label gives.
CARDS: Mapping[str, Card] = {
    "B200": Card(bf16=2250, fp32=75, bandwidth=8000, memory=180),
    "H200": Card(bf16=989, fp32=67, bandwidth=4800, memory=141),
    "H100": Card(bf16=989, fp32=67, bandwidth=3350, memory=80),
    "A100": Card(bf16=312, fp32=19.5, bandwidth=1555, memory=40),  # the smaller of the two
    "A100-40G": Card(bf16=312, fp32=19.5, bandwidth=1555, memory=40),
    "A100-80G": Card(bf16=312, fp32=19.5, bandwidth=2039, memory=80),
    "L40S": Card(bf16=362, fp32=91.6, bandwidth=864, memory=48),
    "A40": Card(bf16=150, fp32=37.4, bandwidth=696, memory=48),
    "A6000": Card(bf16=155, fp32=38.7, bandwidth=768, memory=48),
    "L4": Card(bf16=121, fp32=30.3, bandwidth=300, memory=24),
    "A10G": Card(bf16=70, fp32=35, bandwidth=600, memory=24),
    "V100": Card(bf16=15.7, fp32=15.7, bandwidth=900, memory=16),
    "T4": Card(bf16=8.1, fp32=8.1, bandwidth=320, memory=16),
}
# Utilisations, as are usual for shapes of some hundred units of width.
PEAK_BF16_SHARE, PEAK_FP32_SHARE, BANDWIDTH_SHARE = 0.4, 0.6, 0.7
# Fitted to docs/gpu.md: 6L 192d, 12L 384d and 9L 512d with 64 rows of 512 tokens take 18, 35 and 28 ms a step on an
# H100, and 6L 192d with 8 rows of 256 tokens 15 ms; expected are 19, 35, 31 and 17. All but one wait for the host.
CARD_SECONDS_PER_LAUNCH = 20e-6


def card_speed(card: Card) -> Speed:
    """What is expected of a card before any trial has run on it: within a factor of two, two times in three."""
    bandwidth = card.bandwidth * 1e9 * BANDWIDTH_SHARE
    return Speed(
        fp32_flops=card.fp32 * 1e12 * PEAK_FP32_SHARE,
        bf16_flops=card.bf16 * 1e12 * (PEAK_BF16_SHARE if card.bf16 > card.fp32 else PEAK_FP32_SHARE),
        bytes_per_second=bandwidth,
        large_bytes_per_second=bandwidth,
        seconds_per_launch=CARD_SECONDS_PER_LAUNCH,
        overlaps=True,
    )


def speed_of(kind: str, cpu: Speed) -> Speed | None:
    """The speed that is expected of an accelerator; None of a kind that is not known."""
    if kind == CPU:
        return cpu
    card = CARDS.get(kind)
    return None if card is None else card_speed(card)
