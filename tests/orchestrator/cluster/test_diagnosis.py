"""Every fault and warning that a node's facts can lead to, and what a healthy node leads to: nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from orchestrator.cluster.diagnosis import Demands, findings, through_the_driver
from orchestrator.cluster.node_facts import (
    Answer,
    ClockFacts,
    DataFacts,
    DataState,
    Disk,
    LinkFacts,
    Member,
    Memory,
    NodeFacts,
    Silence,
    StoreFacts,
    TorchFacts,
)

MB, GB = 1_000_000, 1_000_000_000
OURS = {"frostline": "0.1.0", "torch": "2.13.0+cpu", "python": "3.11.7"}
WORKER = Member(name="aa", host="b", kind="CPU", object_store_bytes=128 * 2**20)
GPU_WORKER = dataclasses.replace(WORKER, kind="A40", gpus=2.0)
HEAD = Member(name="bb", host="h", is_head=True, object_store_bytes=128 * 2**20)
DRIVER = Member(name="driver", host="d", is_driver=True)


def facts(**changes: Any) -> NodeFacts:
    healthy = NodeFacts(
        host="b",
        versions=OURS,
        gpu_driver="",
        memory=Memory(total_bytes=64 * GB, free_bytes=32 * GB),
        shm_bytes=256 * 2**20,
        cache=Disk(folder="/cache", free_bytes=100 * GB),
        torch=TorchFacts(device="EPYC", num_cuda=0),
        store=StoreFacts(is_shared=False),
        link=link(),
        data=(data(DataState.ABSENT),),
    )
    return dataclasses.replace(healthy, **changes)


def link(skew: float = 0.0, round_trip: float = 0.01, rate: float = 50 * MB) -> LinkFacts:
    clock = ClockFacts(skew_seconds=skew, round_trip_seconds=round_trip)
    return LinkFacts(clock=clock, bytes_per_second=rate)


def data(state: DataState, problem: str = "") -> DataFacts:
    return DataFacts(name="tiny", state=state, num_bytes=3_200_000, problem=problem)


def said(member: Member, answer: Answer, demands: Demands | None = None) -> list[tuple[bool, str]]:
    return [(one.is_fault, one.text) for one in findings(member, answer, demands or Demands(versions=OURS))]


@pytest.mark.parametrize("member", [WORKER, HEAD, DRIVER], ids=lambda member: member.host)
def test_a_healthy_node_has_no_findings(member: Member) -> None:
    """Neither a worker without a shared folder, nor a head, nor a driver."""
    own = (data(DataState.WHOLE),) if member.is_driver else (data(DataState.ABSENT),)
    assert said(member, facts(data=own)) == []


SMALL = Memory(total_bytes=2 * GB, free_bytes=300 * MB)
FEW = Memory(total_bytes=2 * GB, free_bytes=1_500 * MB)
FAULTS: dict[str, tuple[Member, Answer, str]] = {
    "silent": (WORKER, Silence(reason="does not answer within 60 s"), "does not answer within 60 s"),
    "frostline": (WORKER, facts(versions={**OURS, "frostline": "0.2.0"}), "has frostline 0.2.0 (the driver has 0.1.0)"),
    "torch": (WORKER, facts(versions={**OURS, "torch": "2.12.0+cpu"}), "has torch 2.12.0+cpu (the driver has 2.13.0"),
    "python": (HEAD, facts(versions={**OURS, "python": "3.12.1"}), "has python 3.12.1 (the driver has 3.11.7)"),
    "memory": (WORKER, facts(memory=SMALL), "300 MB of memory are free of 2,000, and one process of Ray"),
    "shm": (WORKER, facts(shm_bytes=64 * 2**20), "/dev/shm has 64 MB, and Ray's object store takes 128: give more"),
    "no CUDA": (GPU_WORKER, facts(), "has 2 GPUs by Ray's account, but its torch (2.13.0+cpu) sees no CUDA: install"),
    "one card": (GPU_WORKER, facts(torch=TorchFacts(device="A40", num_cuda=1)), "sees only 1 CUDA devices"),
    "broken card": (
        GPU_WORKER,
        facts(torch=TorchFacts(device="2 × A40", num_cuda=2, error="cuda:1: ECC"), gpu_driver="580.1"),
        "torch 2.13.0+cpu does not work there (cuda:1: ECC): install it again, in a build that fits the GPU's driver "
        "(580.1)",
    ),
    "cache is full": (
        WORKER,
        facts(cache=Disk(folder="/cache", free_bytes=502 * MB)),
        "the cache /cache has 502 MB free, and checkpoints take up to 500 MB and 3.2 MB of data: free some space there",
    ),
    "cache of another": (
        WORKER,
        facts(cache=Disk(folder="/cache", free_bytes=GB, error="/cache cannot be written")),
        "the cache /cache: /cache cannot be written",
    ),
    "no way to the driver": (WORKER, facts(link=LinkFacts(error="timed out")), "not the driver's file server (timed"),
    "slow": (WORKER, facts(link=link(rate=0.1 * MB)), "sends and fetches 0.10 MB/s to and from the driver: below 0.35"),
    "shared folder": (
        WORKER,
        facts(store=StoreFacts(is_shared=True, error="No space left on device")),
        "cannot write, read and remove a file in the run folder (No space left on device)",
    ),
    "served folder": (
        WORKER,
        facts(store=StoreFacts(is_shared=False, error="full")),
        "a file through the driver (full",
    ),
    "damaged data": (
        WORKER,
        facts(data=(data(DataState.DAMAGED, "x.bin: is truncated"),)),
        "the data tiny are damaged: x.bin: is truncated, or remove it there: then it is copied from the driver",
    ),
    "driver's data": (
        DRIVER,
        facts(data=(data(DataState.MISSING, "there is no dataset"),)),
        "tiny are not there: there",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_line_that_says_what_to_do(name: str) -> None:
    """What is wrong with which value; no fault brings another one with it."""
    member, answer, text = FAULTS[name]
    [(is_fault, line)] = said(member, answer)
    assert is_fault and text in line


WARNINGS: dict[str, tuple[Member, Answer, str]] = {
    "memory": (WORKER, facts(memory=FEW), "1,500 MB of memory are free of 2,000: enough for small models alone"),
    "memory of a head": (HEAD, facts(memory=SMALL), "300 MB of memory are free of 2,000"),
    "in use": (GPU_WORKER, facts(torch=TorchFacts(device="A40", num_cuda=None)), "GPUs are all in use"),
    "cache": (WORKER, facts(cache=Disk(folder="/c", free_bytes=800 * MB)), "the cache /c has 800 MB free: enough for"),
    "cache that is not needed": (
        WORKER,
        facts(cache=Disk(folder="/c", free_bytes=0), store=StoreFacts(is_shared=True), data=()),
        "the cache /c has 0 MB free",
    ),
    "clock": (HEAD, facts(link=link(skew=-3.5)), "its clock is 3.5 s behind the driver's"),
    "slow": (WORKER, facts(link=link(rate=2 * MB)), "a checkpoint of 217 MB takes 108 s"),
    "other data": (WORKER, facts(data=(data(DataState.OTHER),)), "the data tiny there are others than the driver's"),
    "unread data": (WORKER, facts(data=(data(DataState.UNREAD),)), "nobody has read them"),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_each_warning_is_one_line_and_no_fault(name: str) -> None:
    """A sweep can run all the same."""
    member, answer, text = WARNINGS[name]
    [(is_fault, line)] = said(member, answer)
    assert not is_fault and text in line


@pytest.mark.parametrize(
    ("member", "answer"),
    [
        (HEAD, facts(cache=Disk(folder="/c", free_bytes=0), link=link(rate=0.01 * MB))),
        (WORKER, facts(link=link(skew=5.0, round_trip=8.0))),
        (WORKER, facts(link=link(rate=0.01 * MB), store=StoreFacts(is_shared=True), data=(data(DataState.WHOLE),))),
        (WORKER, facts(shm_bytes=None)),
        (WORKER, facts(versions={**OURS, "torch": "2.13.0+cu130", "python": "3.11.9"})),
    ],
    ids=["a head stores no data", "a slow round trip", "a worker that needs no driver", "no /dev/shm", "equal builds"],
)
def test_what_does_not_matter_to_a_node_is_not_said(member: Member, answer: NodeFacts) -> None:
    """A finding is about what the node's part needs, and beyond what the measurement leaves open."""
    assert said(member, answer) == []


def test_cuda_is_asked_for_where_trials_will_use_it() -> None:
    """A simulated cluster with imagined cards is no fault for a sweep that runs on CPUs."""
    assert said(GPU_WORKER, facts(), Demands(versions=OURS, cuda_kinds=frozenset())) == []
    assert len(said(GPU_WORKER, facts(), Demands(versions=OURS, cuda_kinds=frozenset({"A40"})))) == 1


def test_any_versions_are_no_fault_where_they_are_allowed() -> None:
    """The driver asks for none."""
    assert said(WORKER, facts(versions={}), Demands(versions={})) == []


def test_faults_come_before_warnings() -> None:
    """The line to act on first is the first."""
    answer = facts(link=link(skew=9.0), cache=Disk(folder="/c", free_bytes=0))
    assert [is_fault for is_fault, _ in said(WORKER, answer)] == [True, False]


def test_what_goes_through_the_driver_is_said() -> None:
    """Each host once; size of the data that are copied, and how long that takes; nothing where every node sees all."""
    here = facts(host="here", store=StoreFacts(is_shared=True), data=(data(DataState.WHOLE),))
    far, farther = facts(host="b", link=link(rate=0.8 * MB)), facts(host="a", data=(data(DataState.CACHED),))
    assert through_the_driver([here, Silence(reason="frozen")]) == []
    assert through_the_driver([here, far, farther, far]) == [
        "no shared run folder on a, b: trials' files go through the driver",
        "no data on b: tiny (3.2 MB) will be copied there, in about 4 s at 0.8 MB/s",
    ]


def test_a_node_that_shares_the_run_folder_alone_copies_too() -> None:
    """It sees the trials' files but not the data; the slowest of several says how long it takes."""
    shared = StoreFacts(is_shared=True)
    nodes = [facts(host="a", store=shared), facts(host="c", store=shared, link=link(rate=1.6 * MB))]
    assert through_the_driver(nodes) == [
        "no data on a, c: tiny (3.2 MB) will be copied there, in about 2 s at 1.6 MB/s"
    ]
    assert through_the_driver(nodes, "hub") == ["no data on a, c: tiny (3.2 MB) will be copied there from hub"]
