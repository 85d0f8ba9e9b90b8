"""The search for cycles is paused, and goes on as it did before."""

from __future__ import annotations

import gc

import pytest

from results.collector import paused_collector


@pytest.mark.parametrize("before", [True, False])
def test_it_is_left_as_it_was_found(before: bool) -> None:
    """Also after an error; and where a caller has switched it off, it stays off."""
    was_enabled = gc.isenabled()
    try:
        (gc.enable if before else gc.disable)()
        with pytest.raises(ZeroDivisionError), paused_collector():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() is before
    finally:
        (gc.enable if was_enabled else gc.disable)()
