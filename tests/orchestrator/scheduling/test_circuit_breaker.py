"""Equal failures in a row pause what they have in common, and nothing else."""

from __future__ import annotations

from orchestrator.scheduling.circuit_breaker import FAILURES_IN_A_ROW, CircuitBreaker, Pause


def fail(
    breaker: CircuitBreaker,
    error: str = "ValueError: 1",
    *,
    node: str = "a",
    recipe: str = "distill",
    nodes: tuple[str, ...] = ("a",),
    recipes: tuple[str, ...] = ("distill",),
) -> Pause | None:
    return breaker.failed(error, node=node, recipe=recipe, nodes=nodes, recipes=recipes)


def test_different_failures_pause_nothing() -> None:
    """Failures whose messages differ in more than numbers are no row."""
    breaker = CircuitBreaker()
    assert [fail(breaker, f"error {'x' * (index % 2)}") for index in range(20)] == [None] * 20


def test_a_success_ends_a_row() -> None:
    """Four failures and a success, over and over, pause nothing."""
    breaker = CircuitBreaker()
    for _ in range(5):
        assert [fail(breaker) for _ in range(FAILURES_IN_A_ROW - 1)] == [None] * 4
        breaker.succeeded(node="a", recipe="distill")


def test_a_node_is_paused_where_others_are_left() -> None:
    """Failures of all recipes on one node, while another node works: the node is at fault."""
    breaker, found = CircuitBreaker(), []
    for index in range(FAILURES_IN_A_ROW):
        found.append(fail(breaker, f"CUDA error at 0x{index:x}", recipe=f"r{index}", nodes=("a", "b")))
        breaker.succeeded(node="b", recipe=f"r{index}")
    assert found[:-1] == [None] * 4
    assert found[-1] == Pause("node", "a", "CUDA error at 0x4")


def test_a_recipe_is_paused_where_others_are_left() -> None:
    """Failures of one recipe on the only node there is: the rest of the sweep goes on."""
    breaker = CircuitBreaker()
    found = [fail(breaker, f"ValueError: {index}", recipes=("distill", "baseline")) for index in range(5)]
    assert found == [None] * 4 + [Pause("recipe", "distill", "ValueError: 4")]
    assert "recipe distill is paused after 5 equal failures in a row: ValueError: 4" in str(found[-1].text())  # type: ignore[union-attr]


def test_the_sweep_is_paused_where_nothing_else_is_left() -> None:
    """One node, one recipe, or failures of all recipes: there is nothing to go on with."""
    breaker = CircuitBreaker()
    assert [fail(breaker) for _ in range(5)][-1] == Pause("sweep", "", "ValueError: 1")
    breaker = CircuitBreaker()
    recipes = tuple(f"r{index}" for index in range(9))
    found = [fail(breaker, recipe=f"r{index}", recipes=recipes) for index in range(5)]
    assert found[-1] == Pause("sweep", "", "ValueError: 1")


def test_a_pause_is_not_held_against_the_rest() -> None:
    """After a node or recipe is paused, one failure elsewhere pauses nothing."""
    breaker, everything = CircuitBreaker(), {"nodes": ("a", "b"), "recipes": ("x", "y")}
    for _ in range(5):
        found = fail(breaker, "E1", node="a", recipe="x", **everything)
    assert found == Pause("node", "a", "E1")
    assert fail(breaker, "E2", node="b", recipe="y", **everything) is None
    assert fail(breaker, "E1", node="b", recipe="x", **everything) is None
