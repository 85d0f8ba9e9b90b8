"""Early stopping of a run: a rule in a thread, its record, and which trials it is told of."""

from __future__ import annotations

import dataclasses
import math
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from orchestrator.early_stopping.asha import Asha
from orchestrator.early_stopping.best_case import BestCase
from orchestrator.early_stopping.rule import Ended, Looked, StoppingRule, Verdict
from orchestrator.early_stopping.stop_log import StopLog
from orchestrator.search.warm_start import config_of_row, in_order
from search_spaces.configs.agreeing import found_again
from search_spaces.configs.valid_configs import Candidate
from search_spaces.spec.sections.resources import ResourcesConfig
from search_spaces.spec.sweep_spec import SweepSpec, score_column
from trainer.config.trial import TrialConfig

MOVED_BACK = "the front moved back: what was better than its best case is not, over more seeds"


def make_rule(spec: SweepSpec) -> StoppingRule:
    """The rule of a sweep whose method is not `none`."""
    return Asha(spec) if spec.stopping == "asha" else BestCase(spec)


class Stopper:
    """Judges running trials by their looks. No call waits for the rule.

    Args:
        log: the record.
        verdicts: by trial id, those of the record; new ones are added.
        note: is given a line for the user, should the rule fail: from then on no trial is stopped.
    """

    def __init__(
        self, spec: SweepSpec, log: StopLog, verdicts: dict[str, Verdict], note: Callable[[str], None]
    ) -> None:
        self.spec, self.log, self.verdicts, self.note = spec, log, verdicts, note
        self._score_column = score_column(spec.objectives)
        self._steps: dict[str, int] = {}  # up to which a trial was judged
        self._tasks: queue.Queue[_Task | None] = queue.Queue()
        self._found: queue.SimpleQueue[tuple[str, Verdict]] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._judged = dict(verdicts)  # of the thread alone
        self._thread = threading.Thread(target=self._run, name="early stopping", daemon=True)
        self._thread.start()

    def looked(self, trial_id: str, config: TrialConfig, looks: Mapping[int, float]) -> None:
        """A running trial reported its looks so far; nothing happens without a new one, or after a verdict."""
        if not looks or max(looks) <= self._steps.get(trial_id, 0):
            return
        self._steps[trial_id] = max(looks)
        verdict = self.verdicts.get(trial_id)
        if verdict is None:
            self._tasks.put(_Task(trial_id, config, dict(looks)))
        elif verdict.action == "stop":  # the driver died before the trial was told
            self._found.put((trial_id, verdict))

    def ended(self, row: Mapping[str, Any], config: TrialConfig, looks: Mapping[int, float]) -> None:
        """A trial left the run. Those that were completed teach the rule."""
        self._steps.pop(row["trial_id"], None)
        if row.get("stage") == "confirm":  # fresh seeds of what was chosen say how good it is, and move no front
            return
        score = row.get(self._score_column)
        if row["status"] == "completed" and score is not None and math.isfinite(score):
            self._tasks.put(_Task(row["trial_id"], config, looks, row))

    def ended_before(self, rows: Iterable[Mapping[str, Any]], looks: Mapping[str, Mapping[int, float]]) -> None:
        """The trials of earlier calls, with the looks of each by its id."""
        for row in in_order(rows):
            config = config_of_row(row)
            if config is None:
                continue
            seen = looks.get(row["trial_id"], {})
            if row["status"] == "completed":
                self.ended(row, config, seen)
            elif seen and row.get("stage") != "confirm":
                self._tasks.put(_Task(row["trial_id"], config, seen, row))

    def take(self) -> Iterator[tuple[str, Verdict]]:
        """New verdicts, each written to the record before it is given."""
        if self._failure is not None:
            self.note(f"early stopping failed ({self._failure!r}): no more trials are stopped")
            self._failure = None
        while not self._found.empty():
            trial_id, verdict = self._found.get()
            before = self.verdicts.get(trial_id)
            if before is None or (before.action == "stop" and verdict.action == "go_on"):
                self.log.append(trial_id, verdict)
                self.verdicts[trial_id] = verdict
            elif before != verdict:  # a user wants its end, and the rule had not heard of that
                continue
            yield trial_id, verdict

    def spare(self, trial_ids: Iterable[str], reason: str) -> None:
        """Do not stop these again: a user wants their end."""
        for trial_id in trial_ids:
            self.verdicts[trial_id] = self.log.spare(trial_id, reason)

    def wait(self) -> None:
        """Until the rule has answered all it was asked."""
        self._tasks.join()

    def close(self) -> None:
        """End the thread; what it was not asked yet is dropped."""
        self._tasks.put(None)

    def _run(self) -> None:
        rule = make_rule(self.spec)
        is_broken = False
        while (task := self._tasks.get()) is not None:
            try:
                if not is_broken:
                    self._judge(rule, task)
            except Exception as error:  # any: a rule that fails costs time of trials, never the sweep
                self._failure, is_broken = error, True
            finally:
                self._tasks.task_done()

    def _judge(self, rule: StoppingRule, task: _Task) -> None:
        found = found_again(self.spec, task.config)
        # a trial that is not in today's space has only its shape to tell
        candidate = Candidate(task.config, ResourcesConfig(), "") if isinstance(found, str) else found
        looked = Looked(trial_id=task.trial_id, candidate=candidate, looks=task.looks)
        if task.row is None:
            if task.trial_id in self._judged:  # by a look before, and the driver has not heard of it yet
                return
            verdict = rule.look(looked)
            if verdict.action != "go_on":
                self._judge_is(task.trial_id, verdict)
            return
        before = self._judged.get(task.trial_id)
        if task.row["status"] != "completed":
            rule.saw(looked, before)
            return
        rule.tell(
            Ended(
                trial_id=task.trial_id,
                candidate=candidate,
                looks=task.looks,
                score=task.row[self._score_column],
                artifact_bytes=task.row["artifact_bytes"],
                is_feasible=task.row.get("feasible") is not False,
                was_to_stop=before is not None and before.action == "audit",
            )
        )
        for trial_id in rule.moved_back():
            step = self._judged[trial_id].step
            self._judge_is(trial_id, Verdict(action="go_on", step=step, reason=MOVED_BACK))

    def _judge_is(self, trial_id: str, verdict: Verdict) -> None:
        self._judged[trial_id] = verdict
        self._found.put((trial_id, verdict))


@dataclasses.dataclass(frozen=True)
class _Task:
    """A trial that was looked at, or with a row, one that ended."""

    trial_id: str
    config: TrialConfig
    looks: Mapping[int, float]
    row: Mapping[str, Any] | None = None
