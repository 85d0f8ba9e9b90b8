"""Whether the canary is to run: by the command, by what the sweep is, by what it has passed before (`canary.json`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.scheduling.placement import Node
from trainer.files import read_json, write_atomically
from trainer.result import utc_now

# A budget that ends sooner is watched, and no night.
LEAST_SECONDS_OF_A_NIGHT = 1_800.0
# Sections of a sweep that change nothing of what a trial is, or needs.
NOT_OF_TRIALS = frozenset(
    {"notes", "budget", "prices", "on_finish", "objectives", "early_stopping", "keep", "sentinel"}
)


def is_night(*, is_timed: bool, seconds_left: float, is_cluster: bool) -> bool:
    """Whether a sweep is one that nobody watches: a budget of time or dollars with half an hour left, or, without such
    a budget, a cluster.
    """
    return seconds_left >= LEAST_SECONDS_OF_A_NIGHT if is_timed else is_cluster


def fingerprint(
    spec: Mapping[str, Any],
    data_sha256: Mapping[str, str],
    versions: Mapping[str, str],
    machines: Iterable[tuple[Node, str]],
) -> str:
    """SHA-256 of all that the canary depends on: it need not run again while this is the same.

    Args:
        spec: resolved.
        machines: each node with its name: the id of a cluster's node, the host of a Ray of one's own.
    """
    nodes = sorted([name, node.kind, node.cpus, node.gpus] for node, name in machines)
    values = {
        "spec": {key: value for key, value in spec.items() if key not in NOT_OF_TRIALS},
        "data": dict(data_sha256),
        "versions": dict(versions),
        "nodes": nodes,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def has_passed(path: Path, found: str) -> bool:
    """Whether the canary has passed with this fingerprint before. A file that cannot be read says no."""
    try:
        return bool(read_json(path, {"fingerprint": str})["fingerprint"] == found)
    except (OSError, ValueError):
        return False


def note_passed(path: Path, found: str, line: str) -> None:
    """Keep that it has passed, and what it said."""
    values = {"fingerprint": found, "passed_at": utc_now(), "line": line}
    write_atomically(path, json.dumps(values, indent=1).encode())
