"""What is expected of a device's speed: by kind, by numpy, by threads and precision."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from orchestrator.estimates import cpu_speed
from orchestrator.estimates.cpu_speed import NUMPY_THERE, speed_by
from orchestrator.estimates.operations import Operations
from orchestrator.estimates.speeds import CARDS, COMPILED_BYTES, MEASURED_CPU, Speed, card_speed, speed_of

PLAIN = Speed(
    fp32_flops=10.0, bf16_flops=40.0, bytes_per_second=5.0, large_bytes_per_second=1.0, seconds_per_launch=0.5
)
WORK = Operations(flops=20.0, update_flops=40.0, bytes_moved=5.0, large_bytes=1.0, launches=4.0)


def test_seconds_are_the_sum_of_products_bytes_and_operations() -> None:
    """2 s of products, 1 s of updates in bfloat16, 1 s and 1 s of bytes, 2 s of operations."""
    assert PLAIN.seconds(WORK, precision="fp32") == pytest.approx(2 + 1 + 1 + 1 + 2)
    assert PLAIN.seconds(WORK, precision="bf16") == pytest.approx(0.5 + 1 + 1 + 1 + 2)
    assert PLAIN.seconds(WORK, precision="fp32", compiled=True) == pytest.approx(3 + 2 * COMPILED_BYTES + 2)


def test_a_card_waits_for_its_host_or_the_host_for_the_card() -> None:
    """The slower of the two counts, where both work at the same time."""
    card = dataclasses.replace(PLAIN, overlaps=True)
    assert card.seconds(WORK, precision="fp32") == pytest.approx(5)
    assert card.seconds(dataclasses.replace(WORK, launches=100), precision="fp32") == pytest.approx(50)


def test_threads_share_all_but_the_operations() -> None:
    """A second thread does less than the first, and starts no operation sooner."""
    one, two = (PLAIN.seconds(WORK, precision="fp32", num_threads=n) for n in (1, 2))
    assert one / 2 < two < one and two > 2.0


def test_kinds_are_known_by_the_names_that_ray_has_for_them() -> None:
    """Of another kind nothing is expected; faster cards are expected to be faster."""
    assert speed_of("CPU", PLAIN) is PLAIN and speed_of("TPU-v9", PLAIN) is None
    for kind, card in CARDS.items():
        assert speed_of(kind, PLAIN) == card_speed(card)
    by_rate = [card_speed(CARDS[kind]).bf16_flops for kind in ("H100", "A100", "A40", "A10G", "V100", "T4")]
    assert by_rate == sorted(by_rate, reverse=True)


def test_a_card_without_units_for_bfloat16_has_no_gain_from_it() -> None:
    """V100 and T4."""
    for kind in ("V100", "T4"):
        assert card_speed(CARDS[kind]).bf16_flops == card_speed(CARDS[kind]).fp32_flops


def test_a_core_is_as_much_faster_in_torch_as_in_numpy() -> None:
    """Where numpy reaches what it did on the measured core, so does torch; without units, bfloat16 is slower."""
    assert speed_by(NUMPY_THERE, has_bf16_units=True) == MEASURED_CPU
    twice = speed_by({name: 2 * rate for name, rate in NUMPY_THERE.items()}, has_bf16_units=True)
    assert twice.seconds(WORK, precision="fp32") == pytest.approx(MEASURED_CPU.seconds(WORK, precision="fp32") / 2)
    slow = speed_by(NUMPY_THERE, has_bf16_units=False)
    assert slow.bf16_flops < slow.fp32_flops == MEASURED_CPU.fp32_flops


def test_a_rate_is_that_of_the_best_round() -> None:
    """A clock that stands still for one round and jumps in another: no division by zero, and the best counts."""
    ticks = itertools.chain([0, 0, 0, 0, 0.001, 0.001, 0.003, 0.003, 0.003, 0.503], itertools.repeat(1.0))
    assert cpu_speed._rate(lambda: None, lambda: next(ticks)) == pytest.approx(1000)


def test_this_machine_has_a_speed() -> None:
    """All of its rates are positive numbers; it is measured once."""
    speed = cpu_speed.measured_cpu()
    assert speed is cpu_speed.measured_cpu()
    assert speed.fp32_flops > 1e8 and speed.bytes_per_second > 1e7 and 0 < speed.seconds_per_launch < 1
