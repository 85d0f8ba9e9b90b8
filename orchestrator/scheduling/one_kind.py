"""One kind of accelerator for all seeds of a config: in a mixed pool they follow the first one. Pure, without Ray.

Differences between configs are paired by seed on one accelerator, so seeds on two kinds give half of the pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from orchestrator.scheduling.placement import Pool
from orchestrator.search.planner import PlannedTrial

# A machine that is started again is back by then; until then the other seeds wait for its kind.
SECONDS_UNTIL_GONE = 180.0
# A trial in another status gave no figure that others could be paired with.
COUNTING = ("completed", "stopped_early", "deadline")

# The seeds of one config that are given the same resources.
Config = tuple[str, str, float, float | None]
# A kind, and how much of a node a trial needs: a kind whose nodes are all too small has gone for that trial.
Need = tuple[str, float, float | None]


def kind_to_use(others: Iterable[str], is_gone: Callable[[str], bool]) -> str | None:
    """The kind that one more seed of a config is placed on: that of most other seeds, else of the first of them.

    Args:
        others: the kinds on which the other seeds ran or run, in the order in which they began.
        is_gone: whether a kind has left the cluster for good.

    Returns:
        None if no other seed has begun, or all their kinds have gone: then it may go anywhere.
    """
    counts = Counter(others)
    here = [kind for kind in counts if not is_gone(kind)]
    return max(here, key=lambda kind: counts[kind], default=None)


class OneKind:
    """Knows where the seeds of each config ran or run, and which kinds have left the cluster.

    Args:
        note: is told once of each kind that has gone while seeds were held to it.
        config_of: names the config that a trial is a seed of.
    """

    def __init__(
        self,
        note: Callable[[str], None] = lambda line: None,
        config_of: Callable[[PlannedTrial], str] = lambda trial: trial.config.config_id,
    ) -> None:
        self.note, self.config_of = note, config_of
        self._ran_on: dict[Config, dict[str, str]] = {}  # the kind of each seed by trial id
        self._configs: dict[str, Config] = {}  # by trial id: asked for each time that a slot is free
        self._used: set[str] = set()
        self._missing_since: dict[Need, float] = {}
        self._told: set[str] = set()

    def remember(self, trials: Iterable[PlannedTrial], rows: Iterable[Mapping[str, Any]]) -> None:
        """The rows of earlier calls, of the trials that are planned today."""
        known = {row["trial_id"]: row for row in rows}
        for trial in trials:
            if trial.trial_id in known:
                self.ended(trial, known[trial.trial_id])

    def placed(self, trial: PlannedTrial, kind: str) -> None:
        """An attempt at it begins on this kind."""
        self._ran_on.setdefault(self._config(trial), {})[trial.trial_id] = kind
        self._used.add(kind)

    def ended(self, trial: PlannedTrial, row: Mapping[str, Any] | None) -> None:
        """An attempt at it has ended: with this row, or None if it was lost and the trial waits again."""
        if row is not None and row["status"] in COUNTING and row["accelerator"] is not None:
            self.placed(trial, row["accelerator"])
        else:
            self._ran_on.get(self._config(trial), {}).pop(trial.trial_id, None)

    def at(self, pool: Pool, now_seconds: float) -> Callable[[PlannedTrial], Collection[str] | None]:
        """What `choose` asks of each trial that waits: the kinds that it is held to now, or None."""
        kinds, there = set(pool.kinds), dict[Need, bool]()
        if len(kinds) == 1 and self._used <= kinds:
            return lambda trial: None  # most clusters: nothing to decide

        def kinds_of(trial: PlannedTrial) -> Collection[str] | None:
            seeds = self._ran_on.get(self._config(trial))
            if not seeds:
                return None
            others = [kind for trial_id, kind in seeds.items() if trial_id != trial.trial_id and trial.allows(kind)]
            found = kind_to_use(others, lambda kind: self._is_gone(trial, kind, pool, now_seconds, there))
            return None if found is None else (found,)

        return kinds_of

    def _is_gone(self, trial: PlannedTrial, kind: str, pool: Pool, now_seconds: float, there: dict[Need, bool]) -> bool:
        need = (kind, trial.cpus, trial.gpus)
        if need not in there:
            there[need] = any(node.kind == kind and pool.fits_on(trial, node) for node in pool.nodes)
        if there[need]:
            self._missing_since.pop(need, None)
            return False
        since = self._missing_since.setdefault(need, now_seconds)
        is_gone = now_seconds - since >= SECONDS_UNTIL_GONE
        if is_gone and kind not in self._told:
            self._told.add(kind)
            self.note(
                f"{kind} has been away for {SECONDS_UNTIL_GONE:.0f} s: configs that have seeds on it get their other "
                "seeds on any kind; differences between configs are paired on one kind only"
            )
        return is_gone

    def _config(self, trial: PlannedTrial) -> Config:
        if trial.trial_id not in self._configs:
            self._configs[trial.trial_id] = self.config_of(trial), trial.accelerator, trial.cpus, trial.gpus
        return self._configs[trial.trial_id]
