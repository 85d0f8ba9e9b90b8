"""What a machine says of its devices, or that it says nothing."""

from __future__ import annotations

import sys

import pytest

from orchestrator.cluster.machine import device_memory_bytes


def says(text: str, code: int = 0) -> list[str]:
    """A program in the place of NVIDIA's."""
    return [sys.executable, "-c", f"import sys; print({text!r}); sys.exit({code})"]


def test_the_smallest_gpu_counts() -> None:
    """In bytes, from mebibytes."""
    assert device_memory_bytes(says("81559\n46068")) == 46_068 * 2**20


@pytest.mark.parametrize(
    "command", [says("No devices were found"), says(""), says("[N/A]"), says("81559", code=9), ["no-such-program"]]
)
def test_a_machine_without_an_answer_has_no_known_memory(command: list[str]) -> None:
    """No GPU, no tool, a tool that fails: the kind's own size counts then."""
    assert device_memory_bytes(command) is None
