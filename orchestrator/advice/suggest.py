"""`frostline suggest`: reads a run, and writes the sweep file of what to try next."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import results
from orchestrator.advice.narrowing import Reach
from orchestrator.advice.next_space import Tried, next_space
from orchestrator.advice.sweep_text import sweep_text
from orchestrator.errors import UsageError
from orchestrator.search.warm_start import config_of_row
from orchestrator.store.run_folder import RunFolder
from results.analysis.objectives import read_goals
from results.analysis.pareto_info import ParetoInfo, pareto_info
from results.analysis.replicate_groups import Row, to_rows
from results.tables.load import Tables
from search_spaces.configs.agreeing import found_again
from search_spaces.configs.valid_configs import Candidate, candidates_of_space
from search_spaces.spec.load import load_sweep
from search_spaces.spec.problems import SpecError
from search_spaces.spec.sweep_spec import SweepSpec

LIKELY = 0.1  # the probability of being on the front from which a config counts as good
FEW = 5  # good configs below which a reader is warned
MAX_OTHERS = 2_000  # configs off the front that are looked at: more change no decision
# These were tried and say where the front is not; a failure or a deadline says nothing.
TRIED = ("completed", "stopped_early", "infeasible", "diverged", "out_of_memory")
MAX_LISTED = 100_000  # configs of a grid that are looked through

Rows = Callable[[Sequence[Row]], Iterable[Row]]


@dataclasses.dataclass(frozen=True)
class Advice:
    """The text of a sweep file, and what its reader must know."""

    text: str
    notes: tuple[str, ...]


def advise(run: Path, name: str, now: datetime, track: Rows = iter) -> Advice:
    """The shrunken space around the front of a run, as a sweep file.

    Args:
        run: the run folder.
        name: of the run as the user gave it, for `search.learn_from` and comments.
        track: shows progress over rows.

    Raises:
        UsageError: if no config of the run has a score, or none keeps the limits.
        SpecError: if the run's own sweep file is no longer valid.
    """
    spec = load_sweep(RunFolder(run).sweep_file)
    try:
        tables = results.load(run)
        goals = read_goals([run])
        info = pareto_info(tables, goals.objectives, goals.constraints)
    except results.ResultsError as error:
        raise UsageError(str(error)) from error
    good = _good_configs(info, name)
    tried, num_foreign = _tried(spec, tables, good, track)
    if not any(one.is_good for one in tried):
        raise UsageError(
            f"no config of the front of {name} is one of its sweep.yaml: "
            "was the space changed, or the table made by hand?"
        )
    notes = _notes(spec, tried, num_foreign)
    sections = _sections(spec, name)
    header = _header(spec, name, now, tried)
    text, found = _first_valid(spec, tried, sections, header)
    return Advice(text, (*notes, *_notes_of_grid(found, tried, name)))


def _good_configs(info: ParetoInfo, name: str) -> set[str]:
    """Ids of the configs on the front, and of those that are likely to be."""
    if not info.groups:
        raise UsageError(f"no trial of {name} has completed: there is no front to look around")
    good = {one.config_id for one in info.groups if one.on_front or (one.front_probability or 0.0) >= LIKELY}
    if not good:
        limits = ", ".join(map(str, info.constraints))
        raise UsageError(f"no config of {name} keeps its limits ({limits}): raise them, or search smaller models")
    return good


def _tried(spec: SweepSpec, tables: Tables, good: set[str], track: Rows) -> tuple[list[Tried], int]:
    """The configs of the space that were tried, each once, and how many good ones are not of the space."""
    rows = tables.trials[tables.trials.status.isin(TRIED)].drop_duplicates("config_id").sort_values("config_id")
    is_good = rows.config_id.isin(good)
    chosen = to_rows(rows[is_good]) + to_rows(rows[~is_good].iloc[:MAX_OTHERS])  # an id is a hash: these are any
    found, num_foreign = [], 0
    for row in track(chosen):
        config = config_of_row(row)
        candidate = "unknown" if config is None else found_again(spec, config)
        if isinstance(candidate, Candidate):
            found.append(Tried(candidate, row["config_id"] in good))
        else:
            num_foreign += row["config_id"] in good
    return found, num_foreign


def _notes(spec: SweepSpec, tried: Sequence[Tried], num_foreign: int) -> list[str]:
    num_good = sum(one.is_good for one in tried)
    notes = []
    if num_good < FEW:
        notes.append(
            f"of {len(tried)} configs only {num_good} on the front, or likely to be: this advice rests on little"
        )
    if num_foreign:
        notes.append(
            f"{num_foreign} configs of the front are not of the space in sweep.yaml, and count for nothing here"
        )
    if spec.search.first:
        notes.append("search.first is not copied: these configs have run")
    return notes


def _notes_of_grid(spec: SweepSpec, tried: Sequence[Tried], name: str) -> list[str]:
    if spec.draws:
        return []
    known = {one.candidate.name for one in tried}
    if all(one.name in known for one in islice(candidates_of_space(spec), MAX_LISTED)):
        return [f"every config of this grid was tried in {name}: add values, or more seeds"]
    return []


def _sections(spec: SweepSpec, name: str) -> dict[str, Any]:
    """All but the space: as in the old sweep, but its name, other draws, and what is learned from."""
    values = spec.resolved()
    search = {key: value for key, value in values["search"].items() if key != "first"}
    if "seed" in search:
        search["seed"] = (search["seed"] + 1) % 2**63
    if spec.is_adaptive:
        search["learn_from"] = [*(one for one in search.get("learn_from", []) if one != name), name][-100:]
    values |= {"name": _next_name(spec.name), "search": search}
    return {key: value for key, value in values.items() if key not in ("space", "cases")}


def _next_name(name: str) -> str:
    """`night`, `night_next`, `night_next2`, …"""
    match = re.fullmatch(r"(.*)_next(\d*)", name)
    found = f"{match[1]}_next{int(match[2] or 1) + 1}" if match else f"{name}_next"
    return found if len(found) <= 100 else f"{found[:91]}_next"


def _header(spec: SweepSpec, name: str, now: datetime, tried: Sequence[Tried]) -> list[str]:
    num_good = sum(one.is_good for one in tried)
    learns = f" It learns from {name} (search.learn_from)." if spec.is_adaptive else ""
    return [
        f"What to try next, by `frostline suggest {name}` on {now:%Y-%m-%d %H:%M}.",
        f"The space of {spec.name} around its front, {num_good} of {len(tried)} configs: on it, or with a "
        f"probability of {LIKELY:g} or more to be.{learns}",
        "Base, budget, seeds and confirmation are those of the old sweep: read them before you run it.",
    ]


def _first_valid(
    spec: SweepSpec, tried: Sequence[Tried], sections: Mapping[str, Any], header: Sequence[str]
) -> tuple[str, SweepSpec]:
    """The farthest reach whose file is valid and holds every good config."""
    good = [one.candidate for one in tried if one.is_good]
    error: SpecError | None = None
    for reach in get_args(Reach):
        text = sweep_text(sections, next_space(spec, tried, reach), header)
        try:
            found = _read(text)
        except SpecError as problem:
            error = problem
            continue
        if all(isinstance(found_again(found, one.config), Candidate) for one in good):
            return text, found
    raise error or UsageError("no smaller space holds every config of the front: change sweep.yaml by hand")


def _read(text: str) -> SweepSpec:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "next.yaml"
        path.write_text(text, encoding="utf-8")
        return load_sweep(path)
