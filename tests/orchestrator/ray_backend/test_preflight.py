"""What the driver says of its nodes before the start. A real cluster is in `test_cluster_on_ray.py`."""

from __future__ import annotations

from orchestrator.ray_backend.preflight import Probe, through_the_driver

SIZES = {"tiny": 3_200_000}


def probe(host: str, *, run_folder: bool, data: bool) -> Probe:
    return Probe(host=host, sees_run_folder=run_folder, sees_data=data, cuda_devices=0, versions={})


def test_what_goes_through_the_driver_is_said() -> None:
    """Each host once; the size of data that are copied; nothing where every node sees all."""
    here = probe("here", run_folder=True, data=True)
    far, farther = probe("b", run_folder=False, data=False), probe("a", run_folder=False, data=True)
    assert through_the_driver([here], SIZES) == []
    assert through_the_driver([here, far, farther, far], SIZES) == [
        "no shared run folder on a, b: trials' files go through the driver",
        "no data on b: tiny (3.2 MB) will be copied there, unless a copy is cached",
    ]


def test_a_node_that_shares_the_run_folder_alone_copies_too() -> None:
    """It sees the trials' files but not the data."""
    lines = through_the_driver([probe("a", run_folder=True, data=False)], SIZES)
    assert lines == ["no data on a: tiny (3.2 MB) will be copied there, unless a copy is cached"]
