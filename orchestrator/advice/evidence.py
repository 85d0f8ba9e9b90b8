"""Whether a part of a space may be left out: none of the good configs lies in it, and that is hardly chance. Pure."""

from __future__ import annotations

import math

ENOUGH = 0.05


def chance_of_none(num_tried: int, num_good: int, num_there: int) -> float:
    """How likely none of the good configs is among those of a part, if good ones were anywhere alike.

    Hypergeometric: `num_good` of `num_tried` are good, `num_there` lie in the part.
    """
    return math.comb(num_tried - num_there, num_good) / math.comb(num_tried, num_good)


def may_leave_out(num_tried: int, num_good: int, num_there: int) -> bool:
    """Whether a part without a good config was tried often enough to do without it."""
    return chance_of_none(num_tried, num_good, num_there) < ENOUGH
