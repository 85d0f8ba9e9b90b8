"""Where the time and the dollars of a run went: by what came of the trials, and by what they did with their time.

The sums are those of the account (docs/night.md): trials + lost + idle is what the machines cost, to the millionth of a
dollar. Names of uses are those of the last line of `frostline run`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.analysis.night.uses import DOMINATED, FRONT, NO_SCORE, NOT_RANKED, OVER_LIMIT, SUSPECT
from results.tables.load import Tables

MICRO_USD = 1_000_000
PHASES = ("train", "eval", "compile", "checkpoint", "pack", "report")
OTHER = "start and other"
COLUMNS = (*PHASES, OTHER)
LOST, IDLE = "repeated after losses", "idle"
CHECKS = ("canary", "sentinel")  # attempts that are no trials: their ids begin so
NOT_FINISHED = "not finished"
_FIRST = (
    *(FRONT, DOMINATED, NOT_RANKED, OVER_LIMIT, "stopped early", SUSPECT, NO_SCORE),
    *("diverged", "out of memory", "failed", "deadline", NOT_FINISHED, *CHECKS),
)
_KEY = ["sweep", "trial_id"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def check_of(trial_id: str) -> str | None:
    """`canary` or `sentinel`, of an attempt that is no trial but a check of a node."""
    return next((name for name in CHECKS if trial_id.startswith(f"{name}-")), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of whole machines (half a machine for two hours is 3600), and their price in millionths of a dollar.

    `micro_usd` is None where no machine has a price.
    """

    seconds: float
    micro_usd: int | None

    @property
    def usd(self) -> float | None:
        return None if self.micro_usd is None else self.micro_usd / MICRO_USD


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spending:
    """The costs of a run.

    Args:
        uses: by what came of it, `repeated after losses` and `idle` last; they add up to `total`.
        phases: of the trials alone, without what was lost, by what the time was spent on.
        cells: of both, by use and phase.
        num_trials: by use.
        num_unpriced: machines whose price nobody said; their time is counted, and no dollar.
        has_machines: whether the run has an account of its machines; without, idle time is not known.
    """

    uses: Mapping[str, Cost]
    phases: Mapping[str, Cost]
    cells: Mapping[tuple[str, str], Cost]
    num_trials: Mapping[str, int]
    total: Cost
    num_unpriced: int
    has_machines: bool


def spending(tables: Tables, uses_of_trials: Sequence[str] = ()) -> Spending | None:
    """Where time and dollars of a run went; None where nothing has run.

    Args:
        uses_of_trials: what came of each row of `tables.trials`, see `uses_of`; none where only sums are needed.
    """
    uses = _uses(tables.trials, uses_of_trials or ["trials"] * len(tables.trials))
    has_machines = len(tables.attempts) > 0 and len(tables.nodes) > 0
    held = _held(tables) if has_machines else _of_old_tables(tables.trials)
    if held.empty:
        return None
    held["use"] = _use_of(held.index, uses)
    seconds = _seconds_by_phase(held, tables.trials)
    is_priced = has_machines and bool(tables.nodes["usd"].notna().any())
    micro_usd = _split(held["micro_usd"].to_numpy(np.int64), seconds)
    cells = _cells(held["use"], seconds, micro_usd if is_priced else None)
    wasted = _lost_and_idle(tables, held, is_priced) if has_machines else {}
    order = [*sorted(held["use"].unique(), key=_place), *wasted]
    by_use = {use: _sum(cells[use, phase] for phase in COLUMNS) for use in order if use not in wasted} | wasted
    return Spending(
        uses=by_use,
        phases={phase: _sum(cost for (_, its), cost in cells.items() if its == phase) for phase in COLUMNS},
        cells=cells,
        num_trials=Counter(held["use"]),
        total=_sum(by_use.values()),
        num_unpriced=int(tables.nodes["usd"].isna().sum()) if has_machines else 0,
        has_machines=has_machines,
    )


def _uses(trials: pd.DataFrame, uses: Sequence[str]) -> pd.Series[str]:
    """What came of each trial, by sweep and trial id."""
    found = pd.Series(list(uses), index=_index(trials), dtype=object)
    return found[~found.index.duplicated(keep="last")]


def _use_of(index: pd.Index[Any], uses: pd.Series[str]) -> list[str]:
    found = uses.reindex(index)
    return [
        check_of(str(trial)) or NOT_FINISHED if pd.isna(use) else use
        for (_, trial), use in zip(index, found, strict=True)
    ]


def _held(tables: Tables) -> pd.DataFrame:
    """What each trial held in its attempts, less what was lost: `seconds` of machines, `share` of one, `micro_usd`."""
    attempts = _attempts(tables)
    sums = attempts.groupby(_KEY, observed=True, sort=False)[["seconds", "lost", "wall", "micro", "lost_micro"]].sum()
    return pd.DataFrame(
        {
            "seconds": (sums["seconds"] - sums["lost"]).clip(lower=0.0),
            "share": sums["seconds"] / sums["wall"].where(sums["wall"] > 0, 1.0),
            "micro_usd": sums["micro"] - sums["lost_micro"],
        }
    )


def _attempts(tables: Tables) -> pd.DataFrame:
    """Of each attempt: seconds of whole machines, those lost, seconds on the clock, and millionths of a dollar."""
    attempts = tables.attempts
    share, wall = attempts["share"].fillna(1.0).to_numpy(np.float64), _wall_seconds(tables)
    found = pd.DataFrame(
        {
            **{name: attempts[name].astype(object) for name in _KEY},
            "seconds": share * wall,
            "wall": wall,
            "micro": _micro(attempts["usd"]),
            "lost_micro": _micro(attempts["usd_lost"]),
        }
    )
    return found.assign(lost=_lost_seconds(found, attempts, tables.nodes))


def _wall_seconds(tables: Tables) -> Floats:
    """How long each attempt held its slot; of one that still runs, by the devices that it held and their seconds."""
    attempts, key = tables.attempts, ["sweep", "node"]
    held = (attempts["finished_at"] - attempts["started_at"]).dt.total_seconds()
    gpus = tables.nodes[[*key, "num_gpus"]].astype({name: object for name in key}).drop_duplicates(key)
    own = attempts[key].astype(object).merge(gpus, how="left", on=key)["num_gpus"].fillna(0.0).to_numpy(np.float64)
    share = attempts["share"].fillna(1.0).to_numpy(np.float64)
    devices = np.where(share > 0, share, 1.0) * np.where(own > 0, own, 1.0)  # without GPUs the machine is the device
    until_now = attempts["device_seconds"].fillna(0.0).to_numpy(np.float64) / devices
    found: Floats = np.where(held.notna(), held.fillna(0.0).to_numpy(np.float64), until_now)
    return found


def _lost_seconds(found: pd.DataFrame, attempts: pd.DataFrame, nodes: pd.DataFrame) -> Floats:
    """Of each attempt, by its price; without one, what the machines lost is shared by how long attempts were."""
    lost = found["seconds"] * found["lost_micro"] / found["micro"].where(found["micro"] > 0, 1)
    rest = float(nodes["lost_seconds"].fillna(0.0).sum()) - float(lost.sum())
    free = found["seconds"].where((attempts["outcome"].astype(object) == "lost") & (found["micro"] == 0), 0.0)
    if rest > 0 and free.sum() > 0:
        lost = lost + free * min(1.0, rest / float(free.sum()))
    return lost.to_numpy(np.float64)


def _of_old_tables(trials: pd.DataFrame) -> pd.DataFrame:
    """Without an account: how long each trial took by its own clock."""
    found = pd.DataFrame({"seconds": trials["total_seconds"].fillna(0.0).to_numpy(np.float64)}, index=_index(trials))
    found = found[~found.index.duplicated(keep="last")]
    return found[found["seconds"] > 0].assign(share=1.0, micro_usd=0)


def _seconds_by_phase(held: pd.DataFrame, trials: pd.DataFrame) -> Floats:
    """Seconds of machines of each trial in each of COLUMNS; rows add up to what it held. Shape (trials, phases)."""
    columns = trials[[f"{phase}_seconds" for phase in PHASES]].astype(np.float64).fillna(0.0)
    columns.index = _index(trials)
    own = columns[~columns.index.duplicated(keep="last")].reindex(held.index).fillna(0.0).to_numpy(np.float64)
    total = held["seconds"].to_numpy(np.float64)
    spent = np.maximum(own, 0.0) * held["share"].to_numpy(np.float64)[:, None]
    # two clocks never agree: the trial's own may say more than the driver's
    spent *= np.minimum(1.0, total / np.maximum(spent.sum(axis=1), 1e-9))[:, None]
    return np.column_stack([spent, np.maximum(total - spent.sum(axis=1), 0.0)])


def _split(
    totals: Ints,  # (trials,)
    weights: Floats,  # (trials, phases)
) -> Ints:
    """Whole numbers that add up to the totals, in proportion to the weights. Shape (trials, phases)."""
    running = np.cumsum(weights, axis=1)
    whole = running[:, -1:]
    shares = np.where(whole > 0, running / np.where(whole > 0, whole, 1.0), 0.0)
    shares[:, -1] = 1.0
    edges = np.floor(totals[:, None] * shares).astype(np.int64)
    return np.diff(edges, axis=1, prepend=0)


def _cells(uses: pd.Series[str], seconds: Floats, micro_usd: Ints | None) -> dict[tuple[str, str], Cost]:
    names, places = np.unique(uses.to_numpy(dtype=str), return_inverse=True)
    time = np.zeros((len(names), len(COLUMNS)))
    np.add.at(time, places, seconds)
    money = np.zeros((len(names), len(COLUMNS)), dtype=np.int64)
    if micro_usd is not None:
        np.add.at(money, places, micro_usd)
    return {
        (str(use), phase): Cost(seconds=float(time[i, j]), micro_usd=None if micro_usd is None else int(money[i, j]))
        for i, use in enumerate(names)
        for j, phase in enumerate(COLUMNS)
    }


def _lost_and_idle(tables: Tables, held: pd.DataFrame, is_priced: bool) -> dict[str, Cost]:
    up, paid = float(tables.nodes["up_seconds"].fillna(0.0).sum()), int(_micro(tables.nodes["usd"]).sum())
    attempts = _attempts(tables)
    lost = Cost(
        seconds=float(attempts["lost"].sum()), micro_usd=int(attempts["lost_micro"].sum()) if is_priced else None
    )
    idle = Cost(
        seconds=up - float(attempts["seconds"].sum()),
        micro_usd=paid - int(held["micro_usd"].sum()) - int(attempts["lost_micro"].sum()) if is_priced else None,
    )
    return {LOST: lost, IDLE: idle} if lost.seconds or lost.micro_usd else {IDLE: idle}


def _sum(costs: Iterable[Cost]) -> Cost:
    found = list(costs)
    money = [cost.micro_usd for cost in found if cost.micro_usd is not None]
    return Cost(seconds=sum(cost.seconds for cost in found), micro_usd=sum(money) if money else None)


def _micro(usd: pd.Series[float]) -> Ints:
    """Dollars as the tables have them → millionths: exact, as the account keeps whole ones."""
    return np.rint(usd.astype(np.float64).fillna(0.0).to_numpy(np.float64) * MICRO_USD).astype(np.int64)


def _index(frame: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([frame[name].astype(object) for name in _KEY], names=_KEY)


def _place(use: str) -> tuple[int, str]:
    return _FIRST.index(use) if use in _FIRST else len(_FIRST), use
