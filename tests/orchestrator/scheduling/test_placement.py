from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ray_backend.nodes.cluster_status import cluster_nodes
from orchestrator.scheduling.placement import CPU, Node, Pool, Slot, choose, unplaceable
from orchestrator.search.planner import PlannedTrial
from search_spaces.spec.sections.accelerators import ANY
from trainer.config.trial import TrialConfig

CONFIG = TrialConfig()
NODES = [
    Node(node_id="a", kind="H100", cpus=8, gpus=1),
    Node(node_id="b", kind="A40", cpus=8, gpus=2),
    Node(node_id="c", kind=CPU, cpus=2, gpus=0),
]


def trial(name: str, accelerator: str = ANY, *, cpus: float = 1, gpus: float | None = None) -> PlannedTrial:
    return PlannedTrial(config=CONFIG, accelerator=accelerator, cpus=cpus, gpus=gpus, trial_id=name)


def place_all(waiting: list[PlannedTrial], pool: Pool) -> dict[str, str]:
    """Hand out slots until nothing fits; the kind of each placed trial."""
    placed = {}
    while (choice := choose(waiting, pool)) is not None:
        chosen, slot = choice
        pool.acquire(chosen.trial_id, slot)
        placed[chosen.trial_id] = slot.kind
        waiting = [other for other in waiting if other.trial_id != chosen.trial_id]
    return placed


def test_a_trial_that_needs_one_kind_goes_before_those_that_run_anywhere() -> None:
    """The H100 is not given to a trial that could run elsewhere while one waits that could not."""
    placed = place_all([trial("any1"), trial("any2"), trial("big", "H100")], Pool(NODES))
    assert placed["big"] == "H100" and "H100" not in (placed["any1"], placed["any2"])


def test_waiting_for_one_kind_leaves_no_other_kind_idle() -> None:
    """Ten trials for the H100 ahead in line do not keep an A40 trial from starting."""
    waiting = [trial(f"h{i}", "H100", gpus=1) for i in range(10)] + [trial("a", "A40", gpus=1)]
    assert place_all(waiting, Pool(NODES)) == {"h0": "H100", "a": "A40"}


def test_fractions_of_a_gpu_fill_a_card_exactly() -> None:
    """Three thirds fit on one card and a fourth does not; ten tenths fit as well."""
    pool = Pool(NODES[:1])
    assert len(place_all([trial(str(i), "H100", gpus=1 / 3) for i in range(4)], pool)) == 3
    assert len(place_all([trial(str(i), "H100", gpus=0.1, cpus=0.1) for i in range(12)], Pool(NODES[:1]))) == 10


def test_a_slot_that_is_given_back_is_free_again() -> None:
    """What a finished trial held can be held by the next."""
    pool = Pool(NODES[:1])
    pool.acquire("one", Slot(kind="H100", cpus=1, gpus=1, node_id="a"))
    assert choose([trial("two", "H100", gpus=1)], pool) is None
    pool.release("one")
    assert choose([trial("two", "H100", gpus=1)], pool) is not None


def test_needs_that_no_node_meets_are_found() -> None:
    """A kind that is not there, more GPUs than one node has, more CPUs than one node has."""
    lost = [trial("a100", "A100", gpus=1), trial("wide", "A40", gpus=3), trial("cpus", CPU, cpus=3, gpus=0)]
    assert unplaceable([*lost, trial("fine", "A40", gpus=2)], Pool(NODES)) == lost


def test_a_trial_of_a_list_runs_on_any_of_its_kinds_and_on_no_other() -> None:
    """Of three trials for the A40s or the H100, and one for a card or a CPU, none goes where it may not."""
    placed = place_all([trial(f"cards{i}", "A40,H100", gpus=1) for i in range(4)], Pool(NODES))
    assert sorted(placed.values()) == ["A40", "A40", "H100"]
    assert place_all([trial("either", "A40,CPU")], Pool(NODES[2:])) == {"either": CPU}
    assert unplaceable([trial("cards", "A40,H100", gpus=1)], Pool(NODES[2:]))
    assert not unplaceable([trial("cards", "A40,H100", gpus=1)], Pool(NODES[:1]))


def test_the_trial_with_the_fewest_kinds_goes_first() -> None:
    """The H100 is kept for the trial that can run nowhere else, then for those of a list, then for any."""
    waiting = [trial("any"), trial("list", "H100,L4"), trial("one", "H100")]
    pool = Pool(NODES[:1])
    order = []
    while waiting:
        choice = choose(waiting, pool)
        assert choice is not None
        order.append(choice[0].trial_id)
        waiting.remove(choice[0])
    assert order == ["one", "list", "any"]


def test_a_trial_is_placed_on_the_kinds_that_it_is_held_to() -> None:
    """Beside those that it names; where the two exclude each other, what it names counts."""
    held_to = {"replicate": ["A40"], "named": ["A40"]}
    pool = Pool(NODES)
    choice = choose([trial("replicate")], pool, kinds_of=lambda one: held_to.get(one.trial_id))
    assert choice is not None and choice[1].kind == "A40"
    choice = choose([trial("named", "H100")], pool, kinds_of=lambda one: held_to.get(one.trial_id))
    assert choice is not None and choice[1].kind == "H100"
    pool.set_nodes(node for node in NODES if node.kind != "A40")
    assert choose([trial("replicate")], pool, kinds_of=lambda one: held_to.get(one.trial_id)) is None


def test_two_halves_of_two_nodes_are_no_node() -> None:
    """What is left over on several nodes does not add up: one 2-CPU trial a 3-CPU node, one of 0.6 GPUs a card."""
    cpus = [Node(node_id=name, kind=CPU, cpus=3, gpus=0) for name in "ab"]
    assert len(place_all([trial(str(i), CPU, cpus=2, gpus=0) for i in range(4)], Pool(cpus))) == 2
    cards = [Node(node_id=name, kind="A40", cpus=8, gpus=1) for name in "abc"]
    assert len(place_all([trial(str(i), "A40", gpus=0.6) for i in range(5)], Pool(cards))) == 3


def test_a_lost_node_takes_no_more_trials() -> None:
    """After a node is gone a trial that runs anywhere goes elsewhere, and one that needs it waits."""
    pool = Pool(NODES)
    pool.set_nodes([node for node in NODES if node.kind != "H100"])
    placed = place_all([trial("any"), trial("big", "H100")], pool)
    assert placed == {"any": "A40"}
    assert unplaceable([trial("big", "H100")], pool)


def test_nothing_waits_or_nothing_is_there() -> None:
    """No trials or no nodes: nothing to place, no error."""
    assert choose([], Pool(NODES)) is None
    assert choose([trial("one")], Pool([])) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ANY, "H100", "A40", "A40,H100", CPU]),
            st.sampled_from([0.25, 0.5, 1.0, 2.0]),
            st.integers(1, 4),
        ),
        max_size=30,
    )
)
def test_no_kind_is_ever_overbooked_and_none_is_idle_while_its_trials_wait(
    needs: list[tuple[str, float, int]],
) -> None:
    """Whatever waits: held slots never exceed a kind's CPUs and GPUs, and what is left waiting really fits nowhere."""
    waiting = [
        trial(str(i), kind, cpus=cpus, gpus=0.0 if kind == CPU else None if kind == ANY else gpus)
        for i, (kind, gpus, cpus) in enumerate(needs)
    ]
    pool = Pool(NODES)
    placed = place_all(waiting, pool)
    for node in NODES:
        held = [slot for slot in pool.held.values() if slot.node_id == node.node_id]
        assert sum(slot.cpus for slot in held) <= node.cpus + 1e-6
        assert sum(slot.gpus for slot in held) <= node.gpus + 1e-6
    for left in (t for t in waiting if t.trial_id not in placed):
        assert pool.free_slot(left) is None
    assert all(t.allows(placed[t.trial_id]) for t in waiting if t.trial_id in placed)


def entry(name: str, *, cpus: float, gpus: float = 0, label: str = "", **resources: float) -> dict[str, object]:
    labels = {"ray.io/accelerator-type": label} if label else {}
    return {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus, "GPU": gpus, **resources}, "Labels": labels}


def test_rays_nodes_are_read_by_label_by_resource_or_as_unknown() -> None:
    """An accelerator is known by its label, by the older resource, or only as a GPU; dead nodes are left out."""
    dead = {**entry("d", cpus=4), "Alive": False}
    by_resource = entry("b", cpus=4, gpus=2, **{"accelerator_type:A40": 1.0})  # type: ignore[arg-type]
    nodes = cluster_nodes([entry("a", cpus=4, gpus=1, label="H100"), by_resource, entry("c", cpus=4, gpus=1), dead])
    assert [(n.node_id, n.kind, n.is_labelled) for n in nodes if not n.spare] == [
        ("a", "H100", True), ("b", "A40", False), ("c", "GPU", False)
    ]  # fmt: skip


def test_cpus_of_gpu_machines_serve_only_trials_that_ask_for_no_gpu() -> None:
    """On a machine with a card, `any` means the card; `CPU`, or no GPU at all, means its processor."""
    pool = Pool(cluster_nodes([entry("a", cpus=4, gpus=1, label="H100")]))
    waiting = [trial("any1"), trial("any2"), trial("cpu", CPU, gpus=0), trial("none", gpus=0)]
    assert place_all(waiting, pool) == {"any1": "H100", "cpu": CPU, "none": CPU}
