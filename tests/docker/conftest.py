"""The image and the cluster of containers, which every test here shares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from engine import Cluster, build_image


@pytest.fixture(scope="session")
def size_gb() -> float:
    return build_image()


@pytest.fixture(scope="session")
def cluster(size_gb: float, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    made.end()  # what an earlier run has left
    try:
        made.compose("up", "--detach", "--wait")
        made.prepare_data()
        yield made
    finally:
        made.end()
