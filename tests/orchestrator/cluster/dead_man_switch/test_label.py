"""How a node says that it ends itself, and what is said of its cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray._private.label_utils import validate_node_label_syntax

from orchestrator.cluster.dead_man_switch.label import (
    STOPS_ITSELF_LABEL,
    PaidNode,
    StopsItself,
    cost_lines,
    from_label,
    in_a_word,
    label_value,
)

RUNPOD = StopsItself(command="runpodctl", lost_minutes=10, max_hours=10)
LEAVES = StopsItself(max_hours=0.5)
AMOUNTS = st.one_of(st.none(), st.floats(0.001, 10_000))


def test_a_label_and_its_words() -> None:
    """What it runs, and when; without a command it leaves, and that is no end of the machine."""
    assert label_value(RUNPOD) == "runs-runpodctl_lost-10m_max-10h" and label_value(LEAVES) == "leaves_max-0.5h"
    words = "runs runpodctl when the sweep is over, 10 min after its head or driver was lost, after 10 h at the latest"
    assert RUNPOD.words() == words and LEAVES.words() == "leaves the cluster after 0.5 h at the latest"
    assert [in_a_word(one) for one in (None, RUNPOD, LEAVES)] == ["no", "yes", "leaves"]


@given(st.text(min_size=1, max_size=80), AMOUNTS, AMOUNTS)
def test_ray_takes_every_label_and_it_is_read_again(command: str, lost: float | None, most: float | None) -> None:
    """Whatever the program is called; names lose what a label may not have, numbers all but six digits."""
    stops = StopsItself(command=command, lost_minutes=lost or 10, max_hours=most)
    value = label_value(stops)
    validate_node_label_syntax({STOPS_ITSELF_LABEL: value})
    found = from_label(value)
    assert found is not None and found.ends_machine
    assert found.lost_minutes == pytest.approx(stops.lost_minutes, rel=1e-5)
    if most is None:
        assert found.max_hours is None
    else:
        assert found.max_hours == pytest.approx(most, rel=1e-5)
    assert label_value(found) == value


@pytest.mark.parametrize("value", [None, "", "yes", "runs-a_max-1.2.3h", "later_max-1h"])
def test_a_label_that_nobody_understands_promises_nothing(value: str | None) -> None:
    """Of another version, or of another program."""
    assert from_label(value) is None


def test_costs_are_said_by_how_long_they_last() -> None:
    """A line for each way to end, one for those that stay; a node that only leaves stays on the bill."""
    nodes = [
        PaidNode(host="c", usd_per_hour=2.99, stops=None),
        PaidNode(host="b", usd_per_hour=0.44, stops=RUNPOD),
        PaidNode(host="a", usd_per_hour=0.44, stops=RUNPOD),
        PaidNode(host="d", usd_per_hour=None, stops=LEAVES),
    ]
    ends, stay = cost_lines(nodes)
    assert ends == f"end by themselves (0.88 USD/hour until then): a, b; each {RUNPOD.words()}"
    assert stay == (
        "2.99 USD/hour and 1 of unknown price until somebody stops these machines, which do not end by themselves: "
        "c, d (leaves the cluster after 0.5 h at the latest)"
    )


def test_of_machines_that_cost_nothing_as_far_as_is_known_nothing_is_said() -> None:
    """Unless another one ends by itself: then it is said that these do not."""
    free = [PaidNode(host="a", usd_per_hour=None, stops=None), PaidNode(host="b", usd_per_hour=0.0, stops=None)]
    assert cost_lines(free) == [] and cost_lines([]) == []
    unknown = PaidNode(host="c", usd_per_hour=None, stops=RUNPOD)
    [ends] = cost_lines([unknown])
    assert ends.startswith("end by themselves (at an unknown price until then): c; each runs runpodctl")
    assert cost_lines([*free, unknown])[1].startswith("0 USD/hour and 1 of unknown price until somebody stops these")
