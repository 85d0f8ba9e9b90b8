"""Which versions must agree between a driver and its workers."""

from __future__ import annotations

import pytest

from trainer.versions import differences, own_versions

OURS = {"frostline": "0.1.0", "torch": "2.13.0+cpu", "python": "3.11.7"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"torch": "2.13.0+cu130", "python": "3.11.2"}, ""),
        ({"torch": "2.13.1"}, "torch 2.13.1 (the driver has 2.13.0+cpu)"),
        ({"python": "3.12.3"}, "python 3.12.3 (the driver has 3.11.7)"),
        ({"frostline": ""}, "frostline unknown (the driver has 0.1.0)"),
    ],
)
def test_another_version_is_named_with_the_drivers(change: dict[str, str], expected: str) -> None:
    """Builds for other devices and patches of Python are equal; all else is named with both versions."""
    assert differences({**OURS, **change}, OURS) == expected


def test_a_process_agrees_with_itself() -> None:
    """And a driver that wants no version agrees with all."""
    assert differences(own_versions(), own_versions()) == "" == differences({}, {})
    assert set(own_versions()) == set(OURS)
