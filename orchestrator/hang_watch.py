"""Ends the process of a trial that hangs, and leaves where each of its threads was.

A timer of Python's faulthandler does it, in C: it works where the interpreter itself is stuck.
"""

from __future__ import annotations

import faulthandler
import re
import statistics
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from trainer.config.trial import TrialConfig
from trainer.control import Stage
from trainer.recipes.weight_shapes import count_params
from trainer.training.state import Report

STEPS_PER_LIMIT, SECONDS_BEYOND_STEPS = 10, 60.0
STAGES_PER_LIMIT, SECONDS_BEYOND_STAGE = 3, 300.0
# Rough: a hang is told from slowness by the minutes above, not by these. The first open of a dataset reads all of it.
EXPECTED_SECONDS: dict[Stage, float] = {"data": 600.0, "compile": 120.0}
PACK_SECONDS_PER_PARAMETER = 2e-6
SLOWEST_TOKENS_PER_SECOND = 1_000.0
MOST_EVAL_TOKENS = 62_000_000  # FineWeb's validation set
_HEAD = re.compile(r"(\w+), limit (\d+) s\n")


def read_hang(path: Path) -> str | None:
    """What a watch left in its file: the stage in which its trial hung, and the limit; None if it did not hang."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    head = _HEAD.match(text)
    if head is None or "Timeout (" not in text:
        return None
    return f"hung: {head[1]} took more than its limit of {head[2]} s"


class HangWatch:
    """Watches a trial while it is entered; `stage` and `report` are called as the trial goes on.

    Args:
        path: gets the stage, its limit and, when the process is ended, the stack of every thread.
    """

    def __init__(self, path: Path, config: TrialConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self.config, self.clock = path, config, clock
        self.tokens_per_s = 0.0
        self.step_seconds: deque[float] = deque(maxlen=1_000)
        self._last: tuple[float, int] | None = None  # time and step of the last report
        self._stage_began = clock()
        self._file: IO[str] | None = None  # made with the first stage, when the trial has its folder for itself

    def __enter__(self) -> HangWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._file is not None:
            self._file.close()
            self.path.unlink(missing_ok=True)

    def stage(self, stage: Stage) -> None:
        """A stage begins."""
        if stage == "train" and not self.step_seconds:  # the first step was done while compiling
            self.step_seconds.append(self.clock() - self._stage_began)
        self._last, self._stage_began = None, self.clock()
        self._arm(stage, self.limit_seconds(stage))

    def report(self, report: Report) -> None:
        """Steps were done: the next ones have as long as their own median allows."""
        now = self.clock()
        if self._last is not None and report.step > self._last[1]:
            self.step_seconds.append((now - self._last[0]) / (report.step - self._last[1]))
        self._last = now, report.step
        self.tokens_per_s = report.tokens_per_s
        self._arm("train", self.limit_seconds("train"))

    def limit_seconds(self, stage: Stage) -> float:
        """How long a stage may take; of `train`, the time from one report to the next."""
        if stage == "train":
            median = statistics.median(self.step_seconds) if self.step_seconds else 0.0
            return STEPS_PER_LIMIT * median + SECONDS_BEYOND_STEPS
        if stage == "score":
            windows = 1 if not self.config.eval.stride else self.config.train.sequence_tokens / self.config.eval.stride
            tokens_per_s = max(self.tokens_per_s, SLOWEST_TOKENS_PER_SECOND)
            expected = windows * (self.config.eval.tokens or MOST_EVAL_TOKENS) / tokens_per_s
        elif stage == "pack":
            expected = PACK_SECONDS_PER_PARAMETER * count_params(self.config.model)
        else:
            expected = EXPECTED_SECONDS[stage]
        return STAGES_PER_LIMIT * expected + SECONDS_BEYOND_STAGE

    def _arm(self, stage: Stage, limit_seconds: float) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w")
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"{stage}, limit {limit_seconds:.0f} s\n")
        self._file.flush()
        faulthandler.dump_traceback_later(limit_seconds, exit=True, file=self._file)
