from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.config.training import ScheduleConfig
from trainer.training.schedule import rate_factor


def test_cosine_is_pytorchs() -> None:
    """Without warm-up the factor is that of CosineAnnealingLR at every step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert rate_factor(ScheduleConfig(name="cosine"), step, 50) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()


def test_warmdown_is_flat_and_then_linear_to_zero() -> None:
    """The competition's schedule, in steps: full rate, then a straight line that reaches 0 at the last step's end."""
    schedule = ScheduleConfig(name="warmdown", warmdown_steps=4)
    assert [rate_factor(schedule, step, 8) for step in range(8)] == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


@given(
    name=st.sampled_from(["cosine", "warmdown", "constant"]),
    total=st.integers(1, 400),
    warmup=st.integers(0, 500),
    final=st.floats(0, 1),
)
def test_factors_stay_between_nothing_and_the_peak(name: str, total: int, warmup: int, final: float) -> None:
    """Whatever the lengths, no step has a rate above the peak or below zero, and warm-up never falls."""
    schedule = ScheduleConfig.model_validate({"name": name, "warmup_steps": warmup, "final_ratio": final})
    factors = [rate_factor(schedule, step, total) for step in range(total)]
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors)
    rising = factors[: min(warmup, total)]
    assert rising == sorted(rising)
