"""When the canary runs, and when it has passed already."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from orchestrator.canary.when import fingerprint, has_passed, is_night, note_passed
from orchestrator.scheduling.placement import CPU, Node

NODE = Node(node_id="a", kind=CPU, cpus=2, gpus=0)


@pytest.mark.parametrize(
    ("is_timed", "seconds_left", "is_cluster", "expected"),
    [
        (True, 1_800.0, False, True),
        (True, 1_799.0, False, False),
        (True, 1_799.0, True, False),
        (True, math.inf, False, True),
        (False, math.inf, False, False),
        (False, math.inf, True, True),
    ],
)
def test_a_night(is_timed: bool, seconds_left: float, is_cluster: bool, expected: bool) -> None:
    """Half an hour of a budget, or a cluster without one; a quickstart on one machine is none."""
    assert is_night(is_timed=is_timed, seconds_left=seconds_left, is_cluster=is_cluster) is expected


def found(node: Node = NODE, name: str = "host", versions: str = "1", **spec: Any) -> str:
    values = {"base": {"x": 1}, "budget": {"hours": 8}, **spec}
    return fingerprint(values, {"tiny": "a"}, {"torch": versions}, [(node, name)])


def test_it_runs_again_when_something_has_changed(tmp_path: Path) -> None:
    """Another config, node, card or version; not more hours, and not the same node under the same name."""
    path = tmp_path / "canary.json"
    assert not has_passed(path, found())
    note_passed(path, found(), "safe to leave")
    assert has_passed(path, found()) and has_passed(path, found(budget={"hours": 9}, notes="a"))
    assert has_passed(path, found(dataclasses.replace(NODE, node_id="b")))
    others = [found(base={"x": 2}), found(name="other"), found(versions="2")]
    others.append(found(dataclasses.replace(NODE, kind="H100", gpus=1)))
    assert not any(has_passed(path, one) for one in others)
    path.write_text("{")
    assert not has_passed(path, found())
