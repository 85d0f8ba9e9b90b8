"""The made-up runs of `benchmarks/synthetic_run.py`, for tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # at the end: its `codecs.py` must hide no module

from synthetic_run import write_synthetic_run

__all__ = ["write_synthetic_run"]
