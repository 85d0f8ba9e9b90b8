"""What a sweep asks of its nodes before the start. Faults are in `test_diagnosis.py`."""

from __future__ import annotations

import pytest
from tiny import tiny_config

from orchestrator.errors import UsageError
from orchestrator.ray_backend.nodes.preflight import check_placement, cuda_kinds
from orchestrator.scheduling.placement import CPU, Node, Pool
from orchestrator.search.planner import PlannedTrial

POOL = Pool([Node(node_id=kind, kind=kind, cpus=8, gpus=float(kind != CPU)) for kind in ("H100", "A40", CPU)])


def trial(accelerator: str, *, device: str = "auto", gpus: float | None = None) -> PlannedTrial:
    return PlannedTrial(config=tiny_config(device=device), accelerator=accelerator, cpus=1, gpus=gpus, trial_id="t")


def test_a_need_that_no_node_meets_is_refused_in_words() -> None:
    """A list of kinds of which the cluster has none, beside one that it has."""
    with pytest.raises(UsageError, match="they need accelerator B200 or L4 with 1 CPUs, but it has H100"):
        check_placement([trial("B200,L4"), trial("A40,L4")], POOL)


def test_cuda_is_needed_on_the_kinds_that_trials_ask_for() -> None:
    """On all kinds by a trial that runs anywhere; nowhere by one on a CPU, or by one that takes no GPU."""
    assert cuda_kinds(POOL, [trial("H100")]) == {"H100"}
    assert cuda_kinds(POOL, [trial("A40,H100")]) == {"A40", "H100"}
    assert cuda_kinds(POOL, [trial("any")]) >= {"H100", "A40"}
    assert cuda_kinds(POOL, [trial("A40", device="cpu"), trial("any", gpus=0)]) == set()
