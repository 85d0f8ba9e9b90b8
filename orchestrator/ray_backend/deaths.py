"""Why a worker died: whether memory had run out. Ray's own monitor says so; of the kernel's kills a counter is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.air.execution._internal import RayActorManager
from ray.tune.execution import tune_controller
from ray.tune.schedulers import FIFOScheduler
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.cluster.memory_kills import num_memory_kills
from orchestrator.control_channel import Beat

# For a task that may have to start a process on the worker's node. A node that was lost with its worker never answers.
SECONDS_TO_ANSWER = 10.0
# In the text of ray.exceptions.OutOfMemoryError; of the error Ray Tune keeps the text alone.
RAYS_WORDS = "low on memory"


class Deaths:
    """What is known of the workers of running trials: their last signs of life, and Ray's words on those that died.

    Args:
        kills_of: the number of kills for want of memory on the machine of a node, by the node's id.
    """

    def __init__(self, kills_of: Callable[[str], int]) -> None:
        self.kills_of = kills_of
        self._beats: dict[str, Beat] = {}
        self._errors: dict[str, str] = {}

    def begun(self, trial_id: str) -> None:
        """An attempt at a trial begins: what is known of earlier ones counts no more."""
        self._beats.pop(trial_id, None)
        self._errors.pop(trial_id, None)

    def beat(self, beat: Beat) -> None:
        self._beats[beat.trial_id] = beat

    def error(self, trial_id: str, text: str) -> None:
        self._errors[trial_id] = text

    def want_of_memory(self, trial_id: str) -> str | None:
        """In words, that a trial's worker died for want of memory; None if it did not, or if nobody can know."""
        last = self._beats.get(trial_id)
        if RAYS_WORDS in self._errors.get(trial_id, ""):
            return (
                f"out of memory: Ray ended its process when the memory of {last.host if last else 'its node'} ran out"
            )
        if last is not None and self.kills_of(last.node) > last.memory_kills:
            return f"out of memory: the kernel killed its process when the memory of {last.host} ran out"
        return None


class ErrorScheduler(FIFOScheduler):
    """Trials in order; passes on the error of each that died, which Ray Tune does not tell its searcher.

    Args:
        on_error: gets a trial's id and the text of its error, before the searcher hears that the trial has ended.
        wants_room: whether a sentinel waits for resources that an idle worker may hold.
    """

    def __init__(self, on_error: Callable[[str, str], None], wants_room: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.on_error: Callable[[str, str], None] | None = on_error
        self.wants_room: Callable[[], bool] | None = wants_room

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """As always. The idle worker that Ray Tune keeps, with its resources, is ended where those are wanted."""
        if self.wants_room is not None and self.wants_room():
            tune_controller._cleanup_cached_actors(force_all=True)
        return super().choose_trial_to_run(tune_controller)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        if self.on_error is not None and trial.error_file:
            text = Path(trial.error_file).read_text(errors="replace")
            self.on_error(json.loads(trial.config["job"])["trial_id"], text)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is told: Tune pickles its scheduler for a restore that is never made."""
        return {"on_error": None, "wants_room": None}


class ActorManager(RayActorManager):
    """Ray Tune's own, for which a worker that Ray ended for want of memory is a worker that died.

    Ray raises OutOfMemoryError for it, which is no RayActorError, and Ray Tune ends all trials at an error of a class
    that it does not expect. Private: Ray's version is pinned, and a test on a real cluster notices a change.
    """

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, ray.exceptions.OutOfMemoryError):
            exception = ray.exceptions.RayActorError(error_msg=str(exception))
        super()._actor_task_failed(tracked_actor_task, exception)


def survive_want_of_memory() -> None:
    """Let every Tuner that this process starts use `ActorManager`."""
    tune_controller.RayActorManager = ActorManager  # type: ignore[attr-defined]


def memory_kills_of(node_id: str) -> int:
    """What `num_memory_kills` says on a node; 0 if the node does not answer."""
    there = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    asked = ray.remote(num_cpus=0, max_retries=0)(num_memory_kills).options(scheduling_strategy=there).remote()
    try:
        return int(ray.get(asked, timeout=SECONDS_TO_ANSWER))
    except ray.exceptions.RayError:
        return 0
