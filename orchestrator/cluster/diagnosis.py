"""What is wrong with a node, by its facts: faults, which no sweep should start with, and warnings. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.cluster.node_facts import Answer, DataFacts, DataState, LinkFacts, Member, NodeFacts, Silence
from trainer.versions import differences

MB = 1_000_000
# torch and Ray take half a gigabyte in every process that trains, before the model has any.
LEAST_MEMORY_BYTES = 500 * MB
FEW_MEMORY_BYTES = 2_000 * MB
# Two checkpoints of a 12L 384d model under AdamW (217 MB each), its artifact and its log.
LEAST_CACHE_BYTES = 500 * MB
# What the image's entry point asks for.
FEW_CACHE_BYTES = 1_000 * MB
# Two machines that keep time by NTP differ by far less; times in rows and logs are in seconds.
MOST_SKEW_SECONDS = 2.0
# A call of 2 MB must be answered within a minute; a tenth of that is left for others.
LEAST_BYTES_PER_SECOND = 0.35 * MB
# A checkpoint of 217 MB takes 40 s, and is sent every seven minutes.
FEW_BYTES_PER_SECOND = 5 * MB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, and what to do. A fault ends a sweep before it starts, a warning does not."""

    is_fault: bool
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demands:
    """What nodes are measured against.

    Args:
        versions: the driver's; none if any are allowed.
        cuda_kinds: the kinds on whose GPUs something will run; None: on all that Ray counts.
    """

    versions: Mapping[str, str]
    cuda_kinds: frozenset[str] | None = None


def findings(member: Member, answer: Answer, demands: Demands) -> tuple[Finding, ...]:
    """All that is wrong with a node, by what matters for its part: a head runs no trials and needs no data."""
    if isinstance(answer, Silence):
        return (_fault(answer.reason),)
    found = [*_versions(answer, demands), *_memory(member, answer), *_link(member, answer), *_store(answer)]
    if member.kind is not None:
        found += [*_device(member, answer, demands), *_cache(member, answer)]
    for data in answer.data:
        found += _data(member, data)
    return tuple(sorted(found, key=lambda one: not one.is_fault))


def _versions(facts: NodeFacts, demands: Demands) -> Iterator[Finding]:
    if wrong := differences(facts.versions, demands.versions):
        yield _fault(f"has {wrong}: install the same there, or allow it with `frostline run --any-versions`")


def _memory(member: Member, facts: NodeFacts) -> Iterator[Finding]:
    has = f"{facts.memory.free_bytes / MB:,.0f} MB of memory are free of {facts.memory.total_bytes / MB:,.0f}"
    if facts.memory.free_bytes < LEAST_MEMORY_BYTES:
        do = f"{has}, and one process of Ray and torch takes {LEAST_MEMORY_BYTES / MB:,.0f}: end what else runs there"
        yield _warning(do) if member.kind is None else _fault(do)
    elif member.kind is not None and facts.memory.free_bytes < FEW_MEMORY_BYTES:
        yield _warning(f"{has}: enough for small models alone; end what else runs there, or lower --cpus")
    if facts.shm_bytes is not None and facts.shm_bytes < member.object_store_bytes:
        yield _fault(
            f"/dev/shm has {facts.shm_bytes / 2**20:,.0f} MB, and Ray's object store takes "
            f"{member.object_store_bytes / 2**20:,.0f}: give more (Docker: --shm-size 256m; else: mount -o "
            "remount,size=256m /dev/shm), and start Ray there again"
        )


def _device(member: Member, facts: NodeFacts, demands: Demands) -> Iterator[Finding]:
    torch = facts.torch
    if torch is None:
        return
    version, driver = facts.versions.get("torch"), facts.gpu_driver or "none"
    if torch.error:
        yield _fault(
            f"torch {version} does not work there ({torch.error}): install it again, in a build that fits the GPU's "
            f"driver ({driver})"
        )
    elif torch.num_cuda is None:
        yield _warning("its GPUs are all in use: they were not tried")
    elif torch.num_cuda < member.gpus and (demands.cuda_kinds is None or member.kind in demands.cuda_kinds):
        sees = f"only {torch.num_cuda} CUDA devices" if torch.num_cuda else "no CUDA"
        yield _fault(
            f"has {member.gpus:g} GPUs by Ray's account, but its torch ({version}) sees {sees}: install a CUDA build "
            f"of torch for its driver ({driver}), or set `base.device: cpu` (for a simulated cluster)"
        )
    elif facts.gpu_driver and not torch.num_cuda and not member.gpus and member.is_driver:
        yield _warning(f"has NVIDIA's driver {driver}, but its torch ({version}) sees no CUDA: install a CUDA build")


def _cache(member: Member, facts: NodeFacts) -> Iterator[Finding]:
    """The cache holds data that are copied, and trials of a node that does not see the run folder."""
    to_copy = sum(data.bytes_to_copy for data in facts.data)
    is_needed = to_copy > 0 or not (facts.store and facts.store.is_shared)
    say = _fault if is_needed else _warning
    do = f"free some space there, or set FROSTLINE_CACHE to another folder before Ray starts on {member.host}"
    if facts.cache.error:
        yield say(f"the cache {facts.cache.folder}: {facts.cache.error}: {do}")
        return
    has = f"the cache {facts.cache.folder} has {facts.cache.free_bytes / MB:,.0f} MB free"
    copied = f" and {to_copy / MB:,.1f} MB of data" if to_copy else ""
    if facts.cache.free_bytes < LEAST_CACHE_BYTES + to_copy:
        yield say(f"{has}, and checkpoints take up to {LEAST_CACHE_BYTES / MB:,.0f} MB{copied}: {do}")
    elif facts.cache.free_bytes < FEW_CACHE_BYTES + to_copy:
        yield _warning(f"{has}: enough for few trials at a time; {do}")


def _link(member: Member, facts: NodeFacts) -> Iterator[Finding]:
    link = facts.link
    if link is None:
        return
    if link.error:
        yield _fault(
            f"reaches the head, but not the driver's file server ({link.error}): open the ports of docs/cluster.md "
            "between the two, and look for a full disk at the run folder"
        )
    if link.clock is not None and abs(link.clock.skew_seconds) > MOST_SKEW_SECONDS + link.clock.round_trip_seconds / 2:
        ahead = "ahead of" if link.clock.skew_seconds > 0 else "behind"
        skew = f"{abs(link.clock.skew_seconds):,.1f} s {ahead} the driver's"
        yield _warning(f"its clock is {skew}: times in rows and logs will be wrong; let NTP set it")
    if member.kind is None or link.bytes_per_second is None or not _sends_files(facts):
        return
    rate = f"sends and fetches {link.bytes_per_second / MB:,.2f} MB/s to and from the driver"
    if link.bytes_per_second < LEAST_BYTES_PER_SECOND:
        yield _fault(
            f"{rate}: below {LEAST_BYTES_PER_SECOND / MB:g} MB/s files do not arrive in time; mend its network"
        )
    elif link.bytes_per_second < FEW_BYTES_PER_SECOND:
        yield _warning(f"{rate}: a checkpoint of 217 MB takes {217 * MB / link.bytes_per_second:,.0f} s")


def _store(facts: NodeFacts) -> Iterator[Finding]:
    if facts.store is not None and facts.store.error:
        where = "in the run folder" if facts.store.is_shared else "through the driver"
        yield _fault(
            f"cannot write, read and remove a file {where} ({facts.store.error}): look at that folder's disk and rights"
        )


def _data(member: Member, data: DataFacts) -> Iterator[Finding]:
    if data.state is DataState.DAMAGED:
        copied = "" if member.is_driver else ", or remove it there: then it is copied from the driver"
        yield _fault(f"the data {data.name} are damaged: {data.problem}{copied}")
    elif data.state is DataState.MISSING:
        yield _fault(f"the data {data.name} are not there: {data.problem}")
    elif data.state is DataState.OTHER:
        yield _warning(f"the data {data.name} there are others than the driver's, which will be copied")
    elif data.state is DataState.UNREAD:
        yield _warning(f"the data {data.name} have the right sizes, but nobody has read them: `frostline data check`")


def _sends_files(facts: NodeFacts) -> bool:
    is_shared = facts.store is not None and facts.store.is_shared
    return not is_shared or any(data.bytes_to_copy for data in facts.data)


def _fault(text: str) -> Finding:
    return Finding(is_fault=True, text=text)


def _warning(text: str) -> Finding:
    return Finding(is_fault=False, text=text)


def through_the_driver(answers: Iterable[Answer], data_from: str | None = None) -> list[str]:
    """In words: which hosts do not see the run folder, and which data are copied where, how much, and how long.

    Args:
        data_from: where they get data, if not from the driver; how fast that is, nobody knows.
    """
    facts = [one for one in answers if isinstance(one, NodeFacts)]
    apart = sorted({one.host for one in facts if one.store is not None and not one.store.is_shared})
    lines = [f"no shared run folder on {', '.join(apart)}: trials' files go through the driver"] if apart else []
    copies = [(data, one) for one in facts for data in one.data if data.bytes_to_copy]
    for name in sorted({data.name for data, _ in copies}):
        lines.append(_copying(name, [(data, one) for data, one in copies if data.name == name], data_from))
    return lines


def _copying(name: str, copies: list[tuple[DataFacts, NodeFacts]], data_from: str | None) -> str:
    hosts = ", ".join(sorted({facts.host for _, facts in copies}))
    num_bytes = copies[0][0].num_bytes
    line = f"no data on {hosts}: {name} ({num_bytes / MB:,.1f} MB) will be copied there"
    if data_from is not None:
        return f"{line} from {data_from}"
    rates = [rate for _, facts in copies if (rate := _rate(facts.link))]
    if not rates:
        return line
    return f"{line}, in about {max(num_bytes / min(rates), 1.0):,.0f} s at {min(rates) / MB:,.1f} MB/s"


def _rate(link: LinkFacts | None) -> float | None:
    return None if link is None else link.bytes_per_second
