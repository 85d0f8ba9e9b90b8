"""Whether a trial fits a device: by its shapes, by the trials that ended, by what the device has."""

from __future__ import annotations

import math

import pytest
from tiny import STUDY, tiny_config

from orchestrator.cluster.ray_start import MEMORY_LABEL
from orchestrator.estimates.speeds import CARDS
from orchestrator.scheduling.memory import fit as memory_fit
from orchestrator.scheduling.memory.fit import (
    CARD_CONTEXT_BYTES,
    USABLE_SHARE,
    Place,
    card_bytes,
    fits,
    larger_kinds,
    memory_refusal,
    needed_bytes,
    node_bytes,
)
from orchestrator.scheduling.memory.model import MemoryModel, peak_memory_bytes

SMALL = tiny_config()
LARGE = tiny_config(
    model={**STUDY, "num_layers": 24, "dim": 1024, "num_heads": 8},
    train={"batch_sequences": 64, "sequence_tokens": 2048},
)


def place(kind: str, gigabytes: float | None, share: float = 1.0) -> Place:
    return Place(kind=kind, device_bytes=None if gigabytes is None else round(gigabytes * 1e9), share=share)


def row(ratio: float, kind: str = "A40", status: str = "completed") -> dict[str, object]:
    return {"status": status, "accelerator": kind, "peak_memory_bytes": round(peak_memory_bytes(SMALL, kind) * ratio)}


def test_before_any_trial_a_little_more_than_expected_counts() -> None:
    """Nineteen in twenty trials take less; a process on a CPU takes more than tensors on a card."""
    model = MemoryModel()
    for kind, most in (("A40", 1.4), ("CPU", 1.2)):
        assert 1.0 < model.expected(SMALL, kind) / peak_memory_bytes(SMALL, kind) < most
    assert peak_memory_bytes(SMALL, "CPU") > peak_memory_bytes(SMALL, "A40")


def test_peaks_are_learned_by_accelerator() -> None:
    """Half as much again as expected, each time: that is what is expected then."""
    model = MemoryModel()
    for _ in range(20):
        model.ended(row(1.5), SMALL)
    ratio = model.expected(LARGE, "A40") / peak_memory_bytes(LARGE, "A40")
    assert ratio == pytest.approx(1.5, rel=0.08) and ratio > 1.5
    assert model.expected(LARGE, "H100") == MemoryModel().expected(LARGE, "H100")


@pytest.mark.parametrize(
    "odd", [{"peak_memory_bytes": None}, {"accelerator": None}, {"status": "failed"}, {"status": "diverged"}]
)
def test_what_was_not_measured_teaches_nothing(odd: dict[str, object]) -> None:
    """A trial that failed has not reached its peak."""
    model = MemoryModel()
    model.ended({**row(3.0), **odd}, SMALL)
    assert model.expected(SMALL, "A40") == MemoryModel().expected(SMALL, "A40")


def test_a_trial_that_ran_out_of_memory_needs_at_least_what_it_had() -> None:
    """More than expected is learned from; less says nothing."""
    model = MemoryModel()
    model.ended(row(0.2, status="out_of_memory"), SMALL)
    assert model.expected(SMALL, "A40") == MemoryModel().expected(SMALL, "A40")
    model.ended(row(2.0, status="out_of_memory"), SMALL)
    assert model.expected(SMALL, "A40") > 1.5 * MemoryModel().expected(SMALL, "A40")


def test_a_trial_fits_with_a_margin() -> None:
    """Of a device's share, eight hundredths stay free; a process has a context on a card, and none on a CPU."""
    model = MemoryModel()
    needed = needed_bytes(SMALL, "A40", model)
    assert needed == model.expected(SMALL, "A40") + CARD_CONTEXT_BYTES
    assert needed_bytes(SMALL, "CPU", model) == model.expected(SMALL, "CPU")
    just = needed / USABLE_SHARE / 1e9
    assert fits(SMALL, place("A40", just * 1.001), model) is True
    assert fits(SMALL, place("A40", just * 0.999), model) is False
    assert fits(SMALL, place("A40", just * 2.001, share=0.5), model) is True
    assert fits(SMALL, place("A40", just * 2.001, share=0.25), model) is False
    assert fits(SMALL, place("A40", just * 1.001, share=4.0), model) is True  # four cards: a trial uses one
    assert fits(LARGE, place("abacus", None), model) is None


def test_what_fits_nowhere_is_refused_with_numbers_and_a_remedy() -> None:
    """The largest device is named, and what would admit the trial."""
    model = MemoryModel()
    said = memory_refusal(LARGE, [place("T4", 16), place("A40", 48)], model)
    assert said is not None
    assert said.startswith(f"needs about {needed_bytes(LARGE, 'A40', model) / 1e9:.1f} GB of memory, ")
    assert "the largest device has 48.0 GB (A40); more `train.micro_batches`, or a device with more memory" in said
    shared = memory_refusal(LARGE, [place("A40", 48, share=0.25)], model)
    assert shared is not None and "of which a trial is given 0.25" in shared and "a larger share" in shared


def test_nothing_is_refused_that_may_fit() -> None:
    """It fits somewhere, or there is a device of which the memory is not known, or no device yet."""
    model = MemoryModel()
    assert memory_refusal(LARGE, [place("A40", 48), place("abacus", None)], model) is None
    assert memory_refusal(LARGE, [place("A40", 48), place("H200", 10_000)], model) is None
    assert memory_refusal(LARGE, [], model) is None
    assert memory_refusal(SMALL, [place("T4", 16)], model) is None


def test_a_corrected_model_admits_what_it_refused() -> None:
    """When trials turn out to need a third of what was expected."""
    model, a40 = MemoryModel(), place("A40", needed_bytes(LARGE, "A40", MemoryModel()) * 0.6 / 1e9)
    assert memory_refusal(LARGE, [a40], model) is not None
    for _ in range(10):
        model.ended(row(1 / 3), SMALL)
    assert memory_refusal(LARGE, [a40], model) is None


def test_larger_kinds_surely_have_more() -> None:
    """Of each kind its smallest device counts; one that is not known is not larger."""
    places = [
        place("T4", 16), place("A40", 48), place("L40S", 48), place("A100", 40),
        place("A100", 80), place("H100", 80), place("abacus", None), place("L4", 24, share=0.5),
    ]  # fmt: skip
    assert larger_kinds(place("A40", 48), places) == {"H100"}
    assert larger_kinds(place("T4", 16), places) == {"A40", "L40S", "A100", "H100"}
    assert larger_kinds(place("A40", 48, share=0.25), places) == {"T4", "A40", "L40S", "A100", "H100"} - {"A40"}
    assert larger_kinds(place("H100", 80), places) == larger_kinds(place("abacus", None), places) == frozenset()


def test_a_node_says_how_much_memory_it_has() -> None:
    """Its label counts before what the maker says; a CPU has what Ray counts for the machine."""
    assert node_bytes("A100", {MEMORY_LABEL: "85.1"}, {"memory": 1e9}) == 85_100_000_000
    assert node_bytes("A100", {}, {"memory": 1e9}) == 40_000_000_000 == card_bytes("A100")
    assert node_bytes("A100", {MEMORY_LABEL: "much"}, {}) == 40_000_000_000
    assert node_bytes("CPU", {MEMORY_LABEL: "85.1"}, {"memory": 16e9}) == 16_000_000_000
    assert node_bytes("CPU", {}, {}) is node_bytes("abacus", {}, {"memory": 1e9}) is None


def test_cards_have_what_their_makers_say() -> None:
    """In decimal gigabytes; a name that stands for two cards has the smaller one's."""
    assert {kind: card.memory for kind, card in CARDS.items() if kind in ("H100", "H200", "A40", "T4")} == {
        "H100": 80, "H200": 141, "A40": 48, "T4": 16,
    }  # fmt: skip
    assert all(math.isfinite(card.memory) and card.memory > 0 for card in CARDS.values())
    assert memory_fit.card_bytes("A100") == memory_fit.card_bytes("A100-40G")
