"""What the canary says: faults that name node, config, error and remedy, and the line when all is well."""

from __future__ import annotations

from typing import get_args

from orchestrator.canary.outcome import (
    WHAT_TO_DO,
    CanaryFault,
    Passed,
    fault_lines,
    fault_of_result,
    reason_of,
    safe_line,
)
from orchestrator.control_channel import FaultKind
from trainer.result import TrialResult

KINDS = {"H100": 1, "A40": 2}
PASSED = Passed(num_trials=3, recipes=("baseline",), kinds=KINDS, steps=20, seconds=75, usd_per_hour=3.4)


def test_every_fault_of_a_machine_says_what_to_do() -> None:
    """All kinds that a worker may report have a remedy."""
    assert set(get_args(FaultKind)) <= WHAT_TO_DO.keys()


def test_a_fault_names_node_config_error_and_remedy() -> None:
    """In one line, also where the error has several."""
    result = TrialResult(status="out_of_memory", error="OutOfMemoryError: CUDA\n out of memory")
    fault = fault_of_result(result, "vm (A40, 0a1b)", "largest config x")
    assert fault is not None and fault.is_of_recipe
    text = fault.text()
    assert text.startswith("vm (A40, 0a1b): largest config x: out of memory: OutOfMemoryError: CUDA out of memory: ")
    assert "micro_batches" in text and "\n" not in text
    [head, line, last] = fault_lines([fault], "runs/x/canary")
    assert head == "not safe to leave: the canary found 1 fault" and line == f"fault: {text}"
    assert "runs/x/canary" in last and "--no-canary" in last


def test_one_fault_of_a_machine_decides_the_exit_code() -> None:
    """Beside a recipe that fails, a node at fault is what must be mended first; alone, the recipe is."""
    recipe = CanaryFault(node="a", config="x", kind="failed", error="e")
    machine = CanaryFault(node="b", config="y", kind="data", error="e")
    assert reason_of([recipe]) == ("the canary found 1 fault", False)
    assert reason_of([recipe, machine]) == ("the canary found 2 faults", True)


def test_a_config_that_diverges_is_no_fault() -> None:
    """It would do so in the night as well, and has its row there; the line says how many were not packed."""
    assert fault_of_result(TrialResult(status="diverged", error="nan"), "a", "x") is None
    assert fault_of_result(TrialResult(status="failed", error="KeyError: 1"), "a", "x") is not None


def test_the_line_says_what_was_tried_how_long_and_what_an_hour_costs() -> None:
    """And what else there is to say; unknown prices are left out."""
    line = safe_line(PASSED, "about 120 trials by 07:00")
    assert line == (
        "safe to leave: 3 trials of 20 steps (baseline) on 3 nodes (1 H100, 2 A40) were trained, packed, reloaded and "
        "scored in 1 min 15 s; the machines cost 3.4 USD/hour; about 120 trials by 07:00"
    )
    cheap = Passed(num_trials=1, recipes=("baseline",), kinds={"CPU": 1}, steps=20, seconds=5, usd_per_hour=0)
    assert safe_line(cheap).endswith("in 5 s") and "1 trial of 20 steps" in safe_line(cheap)
