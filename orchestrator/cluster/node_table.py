"""What `frostline doctor` shows: a table with a row for each node, and a line for each finding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.cluster.dead_man_switch.label import PaidNode, cost_lines, in_a_word
from orchestrator.cluster.diagnosis import MB, Finding
from orchestrator.cluster.node_facts import Answer, Member, NodeFacts, Silence
from trainer.data.progress_meter import human_bytes
from trainer.versions import differences

GB = 1_000_000_000
HEADERS = (
    *("node", "host", "kind", "reached", "frostline", "torch", "Python", "device", "GPU driver", "torch works"),
    *("memory free", "/dev/shm", "cache free", "clock", "run files", "data", "to driver", "ends itself"),
)
NOTHING = "–"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
    """One node with all that was found."""

    member: Member
    answer: Answer
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> list[str]:
        """A line for each fault, with the node that has it."""
        return [f"{self.member.label}: {one.text}" for one in self.findings if one.is_fault]

    @property
    def warnings(self) -> list[str]:
        """A line for each warning, with the node that has it."""
        return [f"{self.member.label}: {one.text}" for one in self.findings if not one.is_fault]

    def as_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        facts = None if isinstance(self.answer, Silence) else dataclasses.asdict(self.answer)
        findings = {"faults": self.faults, "warnings": self.warnings}
        return {**dataclasses.asdict(self.member), "reached": facts is not None, "facts": facts, **findings}


def cells(checked: Checked, ours: Mapping[str, str]) -> tuple[str, ...]:
    """One row under HEADERS. A version that is another than the driver's (`ours`) is marked by ≠."""
    member, facts = checked.member, checked.answer
    about = (member.name + (" (head)" if member.is_head else ""), member.host, member.kind or NOTHING)
    if isinstance(facts, Silence):
        return (*about, "no", *[NOTHING] * (len(HEADERS) - len(about) - 2), _end(member))
    versions = (_version(package, facts.versions, ours) for package in ("frostline", "torch", "python"))
    return (
        *(*about, "yes", *versions),
        *(*_device(facts), f"{facts.memory.free_bytes / GB:,.1f} of {facts.memory.total_bytes / GB:,.1f} GB"),
        NOTHING if facts.shm_bytes is None else f"{facts.shm_bytes / 2**20:,.0f} MB",
        NOTHING if member.kind is None else _cache(facts),
        *(_clock(facts), _store(facts), _data(facts), _rate(facts)),
        _end(member),
    )


def plain_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned on the left, two spaces apart, nothing cut: for pipes and files."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def narrow_tables(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """The same as several tables, each as wide as fits, and each with the first column."""
    columns = list(zip(*rows, strict=True))
    blocks = [[columns[0]]]
    for column in columns[1:]:
        block = [*blocks[-1], column]
        is_wide = max(map(len, plain_table(list(zip(*block, strict=True))))) > width
        if is_wide and len(blocks[-1]) > 1:
            blocks.append([columns[0], column])
        else:
            blocks[-1] = block
    return [plain_table(list(zip(*block, strict=True))) for block in blocks]


def conclusion(nodes: Sequence[Checked], num_other_faults: int = 0) -> str:
    """The last line: how many faults, also beside the nodes', and warnings, on how many nodes."""
    faults, warnings = (sum(len(lines) for lines in kind) for kind in _all_lines(nodes))
    faults += num_other_faults
    if not faults:
        return f"healthy: {_number(len(nodes), 'node')}, no faults, {_number(warnings, 'warning')}"
    return f"not healthy: {_number(len(nodes), 'node')}, {_number(faults, 'fault')}, {_number(warnings, 'warning')}"


def _all_lines(nodes: Sequence[Checked]) -> tuple[list[list[str]], list[list[str]]]:
    return [one.faults for one in nodes], [one.warnings for one in nodes]


def _number(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


def _version(name: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    is_other = differences({name: theirs.get(name, "")}, {name: ours.get(name, "")})
    return (theirs.get(name) or "unknown") + (" ≠" if is_other else "")


def _cache(facts: NodeFacts) -> str:
    return "fault" if facts.cache.error else human_bytes(facts.cache.free_bytes)


def _device(facts: NodeFacts) -> tuple[str, str, str]:
    """Device, driver, and whether torch computes on it."""
    if facts.torch is None:
        return NOTHING, facts.gpu_driver or NOTHING, NOTHING
    if facts.torch.error:
        return facts.torch.device or NOTHING, facts.gpu_driver or NOTHING, "no"
    how = "in use" if facts.torch.num_cuda is None else "on CUDA" if facts.torch.num_cuda else "on CPU"
    return facts.torch.device, facts.gpu_driver or NOTHING, how


def _end(member: Member) -> str:
    return NOTHING if member.is_driver else in_a_word(member.stops_itself)


def cost_of(nodes: Sequence[Checked]) -> list[str]:
    """What the machines of a cluster cost an hour, and until when."""
    members = [one.member for one in nodes if not one.member.is_driver]
    return cost_lines(PaidNode(host=one.host, usd_per_hour=one.usd_per_hour, stops=one.stops_itself) for one in members)


def _clock(facts: NodeFacts) -> str:
    """The skew, or how small it must be: less than half of the round trip cannot be told."""
    if facts.link is None or facts.link.clock is None:
        return NOTHING
    skew, unsure = facts.link.clock.skew_seconds, facts.link.clock.round_trip_seconds / 2
    return "0.0 s" if abs(skew) <= unsure else f"{skew:+,.1f} s".replace("-0.0", "0.0").replace("+0.0", "0.0")


def _store(facts: NodeFacts) -> str:
    if facts.store is None:
        return NOTHING
    if facts.store.error or (not facts.store.is_shared and facts.link is not None and facts.link.error):
        return "fault"
    return "shared" if facts.store.is_shared else "by driver"


def _data(facts: NodeFacts) -> str:
    """One word where all datasets are alike, else each with its own."""
    states = {data.state.value for data in facts.data}
    if len(states) <= 1:
        return next(iter(states), NOTHING)
    return ", ".join(f"{data.name}: {data.state.value}" for data in facts.data)


def _rate(facts: NodeFacts) -> str:
    rate = facts.link.bytes_per_second if facts.link else None
    return NOTHING if rate is None else f"{rate / MB:,.1f} MB/s"
