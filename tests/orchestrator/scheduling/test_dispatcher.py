"""What starts next: decisions that the driver and the simulator of a night share."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan import Plan
from sweeps import tiny_sweep

from orchestrator.ledger.account import open_account
from orchestrator.ledger.timed_budget import TimedBudget
from orchestrator.progress.sweep_status import SweepStatus
from orchestrator.scheduling.dispatcher import MAX_WAITING, MOST_TOO_LATE, Dispatcher, Start
from orchestrator.scheduling.placement import CPU, Node, Pool, Slot
from orchestrator.scheduling.waiting import WAVES_OF_THE_TAIL, Waiting, need_of
from orchestrator.search.planner import PlannedTrial
from orchestrator.store.run_folder import RunFolder
from search_spaces.configs.device_kinds import can_run_on


@dataclasses.dataclass
class Sweep:
    search: Plan
    status: SweepStatus
    timed: TimedBudget
    examples: list[PlannedTrial]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    spec = tiny_sweep(tmp_path)
    search = Plan(spec)
    while search.ask():
        pass
    _, timed = open_account(RunFolder(tmp_path / "run"), spec)
    status = SweepStatus(num_trials=len(search.trials), objective=("ce", "min"), started_seconds=0.0)
    return Sweep(search, status, timed, search.trials)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> PlannedTrial:
    search = Plan(tiny_sweep(tmp_path_factory.mktemp("spec")))
    return search.ask()[0]


def named(trial: PlannedTrial, name: str, accelerator: str = "any") -> PlannedTrial:
    return dataclasses.replace(trial, trial_id=name, accelerator=accelerator)


def test_every_trial_starts_once_and_then_it_is_over(sweep: Sweep) -> None:
    """Two CPUs hold two trials; what has ended makes room, and nothing is given twice."""
    dispatcher = Dispatcher(sweep, Pool([Node(node_id="n", kind=CPU, cpus=2, gpus=0)]), sweep.search.trials)
    started: list[str] = []
    while (start := dispatcher.next(0.0)) != "over":
        if start is None:
            dispatcher.ended(next(iter(dispatcher.running)))
            continue
        started.append(start.trial.trial_id)
        assert len(dispatcher.running) <= 2
    assert sorted(started) == sorted(one.trial_id for one in sweep.search.trials)


def test_what_goes_on_goes_first(sweep: Sweep) -> None:
    """A trial that comes back from a lost worker starts before those that have not begun."""
    dispatcher = Dispatcher(sweep, Pool([Node(node_id="n", kind=CPU, cpus=1, gpus=0)]), sweep.search.trials)
    first = dispatcher.next(0.0)
    assert isinstance(first, Start) and dispatcher.next(0.0) is None
    trial = dispatcher.ended(first.trial.trial_id)
    dispatcher.waiting.add(trial, is_first=True)
    assert dispatcher.next(0.0) == first


def test_a_recipe_that_is_held_back_does_not_start(sweep: Sweep) -> None:
    """The circuit breaker holds it; when nothing else is left the sweep is over, with that trial waiting."""
    dispatcher = Dispatcher(sweep, Pool([Node(node_id="n", kind=CPU, cpus=1, gpus=0)]), sweep.search.trials)
    dispatcher.held_recipes = {trial.config.recipe for trial in sweep.search.trials}
    assert dispatcher.next(0.0) == "over" and len(dispatcher.waiting) == len(sweep.search.trials)


def test_a_free_card_goes_to_a_trial_that_needs_it(sweep: Sweep) -> None:
    """A trial that can run anywhere leaves the H100 to one that names it, whatever came first."""
    one = sweep.search.trials[0]
    trials = [named(one, "anywhere"), named(one, "a40", "A40"), named(one, "h100", "H100")]
    sweep.examples = trials
    nodes = [Node(node_id=kind, kind=kind, cpus=2, gpus=1) for kind in ("H100", "A40")]
    dispatcher = Dispatcher(sweep, Pool(nodes), trials)
    starts = [dispatcher.next(0.0) for _ in range(3)]
    given = {start.trial.trial_id: start.slot.kind for start in starts if isinstance(start, Start)}
    assert given == {"h100": "H100", "a40": "A40"} and starts[2] is None


def makespan(waiting: Waiting, need: tuple[str, float, float | None], seconds: dict[str, float], slots: int) -> float:
    """Of list scheduling on equal slots: each takes the next trial when it is free."""
    free = [0.0] * slots
    while len(waiting):
        trial = next(waiting.of_need(need, slots))
        waiting.pop(trial.trial_id)
        free.sort()
        free[0] += seconds[trial.trial_id]
    return max(free)


@pytest.mark.parametrize(
    ("lengths", "slots", "best"),
    [
        ([1.0] * 12 + [6.0], 4, 6.0),  # in the order of the search it would be 9
        ([1.0] * 100 + [10.0], 4, 27.5),  # the long one waits until the end is near, and no longer
        ([2.0, 3.0, 2.0, 3.0, 2.0], 2, 7.0),
        ([5.0], 3, 5.0),
    ],
)
def test_no_long_trial_is_left_to_the_end(trial: PlannedTrial, lengths: list[float], slots: int, best: float) -> None:
    """The longest trials that wait start before the others where they would be the last to end."""
    seconds = {f"t{index}": length for index, length in enumerate(lengths)}
    waiting = Waiting([named(trial, name) for name in seconds], lambda one: seconds[one.trial_id])
    assert makespan(waiting, need_of(trial), seconds, slots) == pytest.approx(best, abs=0.5)


@given(st.lists(st.floats(1, 1.01), min_size=1, max_size=60), st.integers(1, 4))
def test_the_order_of_the_search_stays_until_the_end_is_near(
    trial: PlannedTrial, lengths: list[float], slots: int
) -> None:
    """A night that its budget cuts has not left out its short trials."""
    seconds = {f"t{index}": length for index, length in enumerate(lengths)}
    waiting = Waiting([named(trial, name) for name in seconds], lambda one: seconds[one.trial_id])
    order = [one.trial_id for one in waiting.of_need(need_of(trial), slots)]
    if sum(lengths) > max(lengths) * slots * WAVES_OF_THE_TAIL + 1e-6:
        assert order == list(seconds)
    else:
        assert [seconds[name] for name in order] == sorted(lengths, reverse=True)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=30))
def test_waiting_keeps_each_trial_once(trial: PlannedTrial, steps: list[tuple[str, bool, bool]]) -> None:
    """Added again it moves, popped it is gone; the groups by need hold the same trials."""
    waiting, expected = Waiting([], lambda one: 1.0), []
    for name, is_added, is_first in steps:
        expected = [one for one in expected if one != name]
        if is_added:
            waiting.add(named(trial, name), is_first=is_first)
            expected = [name, *expected] if is_first else [*expected, name]
        else:
            waiting.pop(name)
        assert list(waiting.ids) == expected and len(waiting) == len(expected)
        assert [one.trial_id for one in waiting.of_need(need_of(trial), 1)] == expected


class Store:
    """A search that knows all its trials, and gives the next one that can run on a kind which it is asked for."""

    def __init__(self, trials: list[PlannedTrial]) -> None:
        self.left, self.trials = list(trials), []
        self.used_up: set[str] = set()
        self.end: str | None = None
        self.waits_for_results, self.is_confirming = False, False
        self.to_confirm: tuple[PlannedTrial, ...] = ()
        self.asked: list[frozenset[str] | None] = []

    @property
    def num_to_come(self) -> int:
        return len(self.left)

    def begin_confirmation(self) -> bool:
        return False

    def go_on_searching(self) -> None:
        """It was not cut."""

    def ask(self, kinds: frozenset[str] | None = None) -> list[PlannedTrial]:
        self.asked.append(kinds)
        assert self.end is None and (kinds is None or (kinds and not kinds & self.used_up)), "it was asked in vain"
        found = next((one for one in self.left if self.has_for(one, kinds)), None)
        if found is None:
            self.used_up |= set(kinds or ()) if self.left else set()
            self.end = None if self.left else "nothing is left"
            return []
        self.left.remove(found)
        self.trials.append(found)
        return [found]

    @staticmethod
    def has_for(trial: PlannedTrial, kinds: Collection[str] | None) -> bool:
        return kinds is None or any(can_run_on(trial.accelerator, kind) for kind in kinds)

    def settings_of(self, trial_id: str) -> str:
        return ""


def asking(sweep: Sweep, trials: list[PlannedTrial], nodes: list[Node]) -> tuple[Store, Dispatcher]:
    """A dispatcher whose search gives these."""
    store = Store(trials)
    status = SweepStatus(num_trials=len(trials), objective=("ce", "min"), started_seconds=0.0)
    asked = Sweep(store, status, sweep.timed, trials)  # type: ignore[arg-type]
    dispatcher = Dispatcher(asked, Pool(nodes), [])
    dispatcher.one_kind.config_of = lambda trial: trial.trial_id  # each stands for a config of its own
    return store, dispatcher


ACCELERATORS = st.sampled_from(["any", "H100", "A40", "CPU"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    accelerators=st.lists(ACCELERATORS, min_size=1, max_size=40),
    counts=st.dictionaries(st.sampled_from(["H100", "A40", "CPU"]), st.integers(1, 3), min_size=1),
    order=st.randoms(use_true_random=False),
)
def test_no_slot_is_empty_while_the_search_has_a_config_for_it(
    sweep: Sweep, accelerators: list[str], counts: dict[str, int], order: random.Random
) -> None:
    """On any pool: whenever nothing more starts, neither the search nor what waits holds a trial for a free slot.

    So nothing that waits keeps others back, all that can run does run, and what cannot is named at the end.
    """
    one = sweep.search.trials[0]
    trials = [
        dataclasses.replace(named(one, f"t{index}", name), gpus=0.0 if name == "CPU" else None)
        for index, name in enumerate(accelerators)
    ]
    nodes = [
        Node(node_id=f"{kind}{index}", kind=kind, cpus=1, gpus=0 if kind == "CPU" else 1)
        for kind, number in counts.items()
        for index in range(number)
    ]
    store, dispatcher = asking(sweep, trials, nodes)
    started: set[str] = set()
    nothing = 0
    while (start := dispatcher.next(0.0)) != "over":
        if isinstance(start, Start):
            started.add(start.trial.trial_id)
            nothing = 0
            continue
        nothing += 1
        if nothing <= len(counts):  # an answer may be that a kind is used up: the next call asks for the others
            continue
        assert dispatcher.running, "it waits for nothing"
        assert not any(dispatcher.pool.free_slot(trial) for trial in [*store.left, *dispatcher.waiting])
        dispatcher.ended(order.choice(sorted(dispatcher.running)))
        nothing = 0
    able = {trial.trial_id for trial in trials if dispatcher.pool.kinds_for(trial)}
    assert started == able
    if len(able) < len(trials):
        assert "no node is left" in (dispatcher.sweep.status.stop_reason or "")
    else:
        assert store.end is not None and not dispatcher.sweep.status.is_stopping


def test_what_is_held_back_hides_no_lost_kind(sweep: Sweep) -> None:
    """A trial that the circuit breaker holds waits, the A40 is used up, and the rest needs an H100: the sweep ends."""
    one = sweep.search.trials[0]
    other = next(trial for trial in sweep.search.trials if trial.config.recipe != one.config.recipe)
    trials = [named(one, "held", "A40"), named(other, "lost", "H100")]
    _, dispatcher = asking(sweep, trials, [Node(node_id="n", kind="A40", cpus=1, gpus=1)])
    dispatcher.held_recipes = {one.config.recipe}
    assert "over" in [dispatcher.next(0.0) for _ in range(5)]
    assert dispatcher.sweep.status.stop_reason == "no node is left for 1 trials that need H100"


def test_where_all_need_the_same_the_search_is_not_told_what_is_free(sweep: Sweep) -> None:
    """One need, or all of them able to run on every kind there is: None, so that nothing depends on the pool."""
    one = sweep.search.trials[0]
    nodes = [Node(node_id=kind, kind=kind, cpus=1, gpus=1) for kind in ("H100", "A40")]
    same, dispatcher = asking(sweep, [named(one, f"t{index}") for index in range(5)], nodes)
    while isinstance(dispatcher.next(0.0), Start):
        pass
    assert same.asked and set(same.asked) == {None}
    mixed, dispatcher = asking(sweep, [named(one, "a"), named(one, "b", "H100")], nodes)
    dispatcher.next(0.0)
    assert mixed.asked == [frozenset({"H100", "A40"})]


def test_a_crossed_suggestion_for_two_kinds_keeps_no_slot_empty(sweep: Sweep) -> None:
    """However many trials wait for the busy H100, the A40s are asked for."""
    one = sweep.search.trials[0]
    trials = [named(one, f"{kind}{index}", kind) for index in range(60) for kind in ("H100", "A40")]
    nodes = [Node(node_id=name, kind=name[:-1], cpus=1, gpus=1) for name in ("H1001", "A401", "A402")]
    store, dispatcher = asking(sweep, trials, nodes)

    def both(kinds: frozenset[str] | None = None) -> list[PlannedTrial]:
        found, store.left = store.left[:2], store.left[2:]
        store.end = None if store.left else "nothing is left"
        return found

    store.ask = both  # type: ignore[method-assign]
    while store.left:
        while isinstance(dispatcher.next(0.0), Start):
            pass
        assert sum(trial.accelerator == "A40" for trial in dispatcher.running.values()) == 2 or not store.left
        dispatcher.ended(next(name for name, trial in dispatcher.running.items() if trial.accelerator == "A40"))
    assert len(dispatcher.waiting) > MAX_WAITING


def test_a_sweep_waits_for_its_last_node_to_come_back(sweep: Sweep) -> None:
    """On a cluster, with one line; when none has joined in time it is over, and a node at fault is not waited for."""
    node, notes = Node(node_id="n", kind=CPU, cpus=1, gpus=0), list[str]()
    dispatcher = Dispatcher(sweep, Pool([node]), sweep.search.trials, patience_seconds=600, note=notes.append)
    dispatcher.pool.set_nodes([])
    assert dispatcher.next(0.0) is None and dispatcher.next(599.0) is None
    assert notes == ["no node is left for 4 trials that need any: waiting 10 minutes for one to join"]
    dispatcher.pool.set_nodes([dataclasses.replace(node, node_id="m")])
    start = dispatcher.next(599.5)
    assert isinstance(start, Start)
    dispatcher.ended(start.trial.trial_id)
    dispatcher.pool.set_nodes([])
    assert dispatcher.next(700.0) is None and dispatcher.next(1_299.0) is None
    assert dispatcher.next(1_300.0) == "over"
    assert dispatcher.sweep.status.stop_kind == "fault"


def test_a_node_at_fault_is_not_waited_for(sweep: Sweep) -> None:
    """Somebody has to look at it."""
    node = Node(node_id="n", kind=CPU, cpus=1, gpus=0)
    dispatcher = Dispatcher(sweep, Pool([node]), sweep.search.trials, patience_seconds=600)
    dispatcher.pool.exclude("n", why="its data are damaged")
    assert dispatcher.next(0.0) == "over" and "its data are damaged" in (dispatcher.sweep.status.stop_reason or "")


def with_room(sweep: Sweep, nodes: list[Node], *batches: int) -> Dispatcher:
    """A dispatcher of trials whose steps have so many rows: of a model that takes 0.4 MB a row."""
    one = sweep.search.trials[0]
    trials = []
    for number, batch in enumerate(batches):
        train = one.config.train.model_copy(update={"batch_sequences": batch})
        config = one.config.model_copy(update={"train": train, "device": "auto"})
        trials.append(dataclasses.replace(one, trial_id=f"t{number}", config=config))
    sweep.examples = trials
    return Dispatcher(sweep, Pool(nodes), trials)


def card(name: str, kind: str, gigabytes: float | None) -> Node:
    size = None if gigabytes is None else round(gigabytes * 1e9)
    return Node(node_id=name, kind=kind, cpus=2, gpus=1, device_bytes=size)


def test_a_trial_starts_only_where_its_memory_fits(sweep: Sweep) -> None:
    """A large one waits for the large card; a small one takes the small card meanwhile."""
    nodes = [card("small", "A40", 2), card("large", "H100", 80)]
    dispatcher = with_room(sweep, nodes, 200_000, 8)
    starts = {}
    while isinstance(start := dispatcher.next(0.0), Start):
        starts[start.trial.trial_id] = start.slot.kind
    assert starts == {"t0": "H100", "t1": "A40"}
    alone = with_room(sweep, nodes[:1], 8, 200_000)
    assert isinstance(alone.next(0.0), Start) and alone.next(0.0) is None


def test_what_fits_no_device_is_set_aside_with_its_numbers(sweep: Sweep) -> None:
    """It does not wait for ever, and the others start; a device of which nobody knows the memory gets it."""
    dispatcher = with_room(sweep, [card("small", "A40", 2)], 200_000, 8)
    start = dispatcher.next(0.0)
    assert isinstance(start, Start) and start.trial.trial_id == "t1"
    [(trial, reason)] = dispatcher.take_unfit()
    assert trial.trial_id == "t0" and trial.trial_id not in dispatcher.waiting
    assert reason.startswith("needs about ") and "the largest device has 2.0 GB (A40)" in reason
    assert dispatcher.take_unfit() == []
    unknown = with_room(sweep, [card("odd", "Abacus", None)], 200_000)
    assert isinstance(unknown.next(0.0), Start) and unknown.take_unfit() == []


def test_a_trial_out_of_memory_goes_once_to_a_larger_device(sweep: Sweep) -> None:
    """And to no other than that; the second time its row stands, and where nothing is larger the first one does."""
    nodes = [card("small", "A40", 48), card("large", "H100", 80)]
    dispatcher = with_room(sweep, nodes, 8)
    dispatcher.pool.acquire("somebody", Slot(kind="H100", cpus=1, gpus=1, node_id="large"))
    start = dispatcher.next(0.0)
    assert isinstance(start, Start) and start.slot.kind == "A40"
    trial = dispatcher.ended(start.trial.trial_id)
    assert dispatcher.goes_to_a_larger_device(trial, start.slot)
    dispatcher.send_again(trial)
    assert dispatcher.next(0.0) is None  # the A40 is free, and is not for it
    dispatcher.pool.release("somebody")
    again = dispatcher.next(0.0)
    assert isinstance(again, Start) and again.slot.kind == "H100"
    assert not dispatcher.goes_to_a_larger_device(dispatcher.ended(trial.trial_id), again.slot)
    assert not with_room(sweep, nodes[:1], 8).goes_to_a_larger_device(trial, start.slot)


def test_a_trial_on_a_cpu_is_not_judged_by_memory(sweep: Sweep) -> None:
    """Its machine's memory is shared; nor is one that asks for the CPU on a node with a card."""
    dispatcher = with_room(sweep, [Node(node_id="n", kind=CPU, cpus=2, gpus=0)], 10_000_000)
    assert isinstance(dispatcher.next(0.0), Start)
    [trial] = with_room(sweep, [card("small", "A40", 2)], 10_000_000).waiting
    on_cpu = dataclasses.replace(trial, config=trial.config.model_copy(update={"device": "cpu"}))
    sweep.examples = [on_cpu]
    assert isinstance(Dispatcher(sweep, Pool([card("small", "A40", 2)]), [on_cpu]).next(0.0), Start)


def test_a_large_card_that_is_away_refuses_nothing(sweep: Sweep) -> None:
    """It may come back: what fits it alone waits, the others go on, and when all is done the sweep waits for it."""
    small, large = card("small", "A40", 2), card("large", "H100", 80)
    dispatcher = with_room(sweep, [small, large], 200_000, 8)
    dispatcher.patience_seconds = 600
    dispatcher.pool.set_nodes([small])
    start = dispatcher.next(0.0)
    assert isinstance(start, Start) and start.trial.trial_id == "t1" and dispatcher.take_unfit() == []
    dispatcher.ended("t1")
    assert dispatcher.next(1.0) is None and dispatcher.next(599.0) is None
    dispatcher.pool.set_nodes([small, dataclasses.replace(large, node_id="again")])
    assert isinstance(dispatcher.next(600.0), Start)


def test_a_trial_whose_larger_card_has_gone_ends_the_sweep_aloud(sweep: Sweep) -> None:
    """It ran out of memory on the small one: it is not sent there again, and does not wait for ever."""
    small, large = card("small", "A40", 48), card("large", "H100", 80)
    dispatcher = with_room(sweep, [small, large], 8)
    dispatcher.patience_seconds = 600
    trial = next(iter(dispatcher.waiting))
    slot = Slot(kind="A40", cpus=1, gpus=1, node_id="small")
    assert dispatcher.goes_to_a_larger_device(trial, slot)
    dispatcher.pool.set_nodes([small])
    assert dispatcher.next(0.0) is None and dispatcher.next(599.0) is None and dispatcher.next(600.0) == "over"
    assert "more memory" in (dispatcher.sweep.status.stop_reason or "")


class Clockwork:
    """A budget by which a trial is in time on some kinds of device alone."""

    def __init__(self, sweep: Sweep, *kinds: str) -> None:
        self.kinds, self.costs, self.is_over = kinds, sweep.timed.costs, False

    def is_in_time(self, trial: PlannedTrial, kind: str, kept_seconds: float = 0.0) -> bool:
        return kind in self.kinds

    def may_ask(self, kinds: Collection[str], kept_seconds: float = 0.0) -> bool:
        return True

    def reach(self) -> str:
        return "the budget is used"


def test_near_the_end_a_fast_card_takes_what_a_slow_one_cannot_finish(sweep: Sweep) -> None:
    """A free A40 that is too slow by now keeps no trial from a free H100, nor does the kind of its other seeds."""
    sweep.timed = Clockwork(sweep, "H100")  # type: ignore[assignment]
    dispatcher = with_room(sweep, [card("a", "A40", 48), card("h", "H100", 80)], 8, 16)
    first, second = list(dispatcher.waiting)
    seed = dataclasses.replace(first, trial_id="seed", config=first.config.model_copy(update={"seed": 77}))
    dispatcher.one_kind.placed(seed, "A40")
    start = dispatcher.next(0.0)
    assert isinstance(start, Start) and start.slot.kind == "H100" and start.trial in (first, second)
    assert dispatcher.next(0.0) is None


def test_a_search_that_gives_nothing_in_time_is_not_asked_for_ever(sweep: Sweep) -> None:
    """A few trials that are too long for what is left, and the sweep ends."""
    trials = [dataclasses.replace(sweep.search.trials[0], trial_id=f"t{number}") for number in range(100)]
    sweep.search = Store(trials)  # type: ignore[assignment]
    sweep.timed = Clockwork(sweep)  # type: ignore[assignment]
    dispatcher = Dispatcher(sweep, Pool([Node(node_id="n", kind=CPU, cpus=1, gpus=0)]), [])
    answers = [dispatcher.next(float(second)) for second in range(MOST_TOO_LATE)]
    assert answers == [None] * (MOST_TOO_LATE - 1) + ["over"] and sweep.status.stop_kind == "budget"
    assert len(dispatcher.waiting) == MOST_TOO_LATE


def test_the_last_trial_that_fits_nowhere_is_told_before_the_end(sweep: Sweep) -> None:
    """Confirmation may have waited for its row: the sweep is not over in the same breath."""
    dispatcher = with_room(sweep, [card("small", "A40", 2)], 200_000)
    assert dispatcher.next(0.0) is None and len(dispatcher.take_unfit()) == 1
    assert dispatcher.next(0.0) == "over"


def test_a_node_that_was_excluded_long_ago_shortens_no_patience(sweep: Sweep) -> None:
    """The others are waited for when they are lost."""
    nodes = [Node(node_id=name, kind=CPU, cpus=1, gpus=0) for name in ("bad", "good")]
    dispatcher = Dispatcher(sweep, Pool(nodes), sweep.search.trials, patience_seconds=600)
    dispatcher.pool.exclude("bad", why="its data are damaged")
    dispatcher.pool.set_nodes([])
    assert dispatcher.next(0.0) is None and dispatcher.next(599.0) is None and dispatcher.next(600.0) == "over"
