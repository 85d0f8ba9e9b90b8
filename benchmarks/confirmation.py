"""False claims, power and bias of confirmation, by simulation of sweeps whose truth is known.

    python benchmarks/confirmation.py --sweeps 1000

Each simulated sweep has 300 configs of one seed, half of them frozen, whose true loss is a function of their bytes; in
one world the frozen ones are better by some seeds' spreads. Replicates, the choice of what is confirmed, and the tests
are those of a real sweep.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.confirmation.choose import choose
from results.analysis.claims import claims_of
from results.analysis.front_probability import front_probabilities
from results.analysis.statistics import paired_test
from search_spaces.spec.load import load_sweep
from search_spaces.spec.sweep_spec import SweepSpec

NUM_CONFIGS = 300
NUM_REPLICATED = 25  # configs that get two seeds more
SEED_STD = 0.02  # nats; of what a seed adds to one config, and half of that in common to all
SHAPES = np.round(np.geomspace(200_000, 2_000_000, 30))  # several configs have equal bytes, as in a real space

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """How much better frozen configs are than learned ones, and how far configs differ, in spreads between seeds."""

    name: str
    advantage: float = 0.0
    between: float = 0.0
    unequal: float = 1.0  # spread of frozen configs over that of learned ones
    noisy: float = 1.0  # spread of one config in five over that of the others


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one sweep. Biases are in spreads between seeds; below 0 is too good."""

    num_claims: int
    num_false: int
    num_true: int
    naive_false: bool  # the best frozen config against the best learned one, by the seeds of the search
    searched_bias: float
    confirmed_bias: float


WORLDS = (
    World(name="no difference, all configs alike"),
    World(name="no difference, configs differ", between=1.0),
    World(name="no difference, frozen ones three times as noisy", between=1.0, unequal=3.0),
    World(name="no difference, one config in five three times as noisy", between=1.0, noisy=3.0),
    World(name="frozen better by 1 spread", advantage=1.0, between=1.0),
    World(name="frozen better by 2 spreads", advantage=2.0, between=1.0),
    World(name="frozen better by 4 spreads", advantage=4.0, between=1.0),
)


class Sweep:
    """A simulated sweep: its configs, and the row of any trial."""

    def __init__(self, world: World, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.frozen = np.arange(NUM_CONFIGS) % 2 == 1
        self.sizes = self.rng.choice(SHAPES, NUM_CONFIGS)
        trend = 6.0 - 0.2 * np.log(self.sizes)
        differences = world.between * SEED_STD * self.rng.standard_normal(NUM_CONFIGS)
        if world.advantage == 0.0:
            # no true difference within a pair either: configs of one size are equally good, whatever they freeze
            by_size = {size: world.between * SEED_STD * self.rng.standard_normal() for size in SHAPES}
            differences = np.array([by_size[size] for size in self.sizes])
        self.truth = trend + differences - np.where(self.frozen, world.advantage * SEED_STD, 0.0)
        self.stds = np.where(self.frozen, world.unequal, 1.0) * SEED_STD
        self.stds *= np.where(self.rng.random(NUM_CONFIGS) < 0.2, world.noisy, 1.0)
        self.effects: dict[tuple[int, str], float] = {}

    def row(self, config: int, seed: int, **more: Any) -> Row:
        size = int(self.sizes[config])
        row = {"config_id": str(config), "trial_id": f"{config}-s{seed}", "seed": seed, "status": "completed"}
        row |= {"recipe": "selective" if self.frozen[config] else "baseline", "feasible": True, "stage": "search"}
        row |= {"artifact_bytes": size, "total_bytes": size, "accelerator": "CPU", "data_sha256": "x"}
        row |= {"eval_tokens": 1, "confirm_against": None, "ce": self._score(config, seed, "ce"), **more}
        return row

    def confirming_row(self, config: int, seed: int, against: str | None) -> Row:
        test = self._score(config, seed, "ce_test")
        return self.row(config, seed, stage="confirm", ce_test=test, confirm_against=against)

    def _score(self, config: int, seed: int, text: str) -> float:
        if (seed, text) not in self.effects:
            self.effects[seed, text] = 0.5 * SEED_STD * float(self.rng.standard_normal())
        rest = float(self.stds[config] * self.rng.standard_normal())
        return float(self.truth[config]) + self.effects[seed, text] + rest


def simulated(spec: SweepSpec, world: World, seed: int) -> Outcome:
    sweep = Sweep(world, seed)
    rows = [sweep.row(config, 1) for config in range(NUM_CONFIGS)]
    for config in _doubtful(sweep, rows):
        rows += [sweep.row(config, 2), sweep.row(config, 3)]
    chosen = choose(spec, rows)
    fresh = [
        sweep.confirming_row(int(one.config_id), number, one.against) for one in chosen for number in spec.fresh_seeds
    ]
    claims = claims_of(rows + fresh)
    decided = [claim for claim in claims if claim.is_decided and claim.test is not None]
    true = [_difference(sweep, claim.config_id, claim.against) for claim in decided]
    is_true = [truth * claim.test.difference.mean > 0 for truth, claim in zip(true, decided, strict=True) if claim.test]
    searched, confirmed = _biases(sweep, rows, fresh)
    return Outcome(
        num_claims=len(claims),
        num_false=sum(not one for one in is_true),
        num_true=sum(is_true),
        naive_false=_naive_claim(sweep, rows) if world.advantage == 0.0 else False,
        searched_bias=searched,
        confirmed_bias=confirmed,
    )


def _difference(sweep: Sweep, one: str, other: str) -> float:
    return float(round(sweep.truth[int(one)] - sweep.truth[int(other)], 12))


def _doubtful(sweep: Sweep, rows: list[Row]) -> list[int]:
    """The configs that get more seeds: those that look like the front, then the most doubtful by its probability."""
    scores = [{1: row["ce"]} for row in rows]
    first = sorted(range(NUM_CONFIGS), key=lambda config: scores[config][1] + 0.2 * np.log(sweep.sizes[config]))[:5]
    spread = [{**by_seed, **({2: sweep.row(i, 2)["ce"]} if i in first else {})} for i, by_seed in enumerate(scores)]
    shares = front_probabilities(spread, sweep.sizes[:, None], ["min", "min"], size_column=0)
    assert shares is not None
    order = sorted(range(NUM_CONFIGS), key=lambda config: abs(shares[config] - 0.5))
    return list(dict.fromkeys([*first, *order]))[:NUM_REPLICATED]


def _biases(sweep: Sweep, rows: list[Row], fresh: list[Row]) -> tuple[float, float]:
    """Of the best config of the front by the search: what the search says of it, and what confirmation says."""
    config = fresh[0]["config_id"]
    searched = np.mean([row["ce"] for row in rows if row["config_id"] == config])
    confirmed = np.mean([row["ce_test"] for row in fresh if row["config_id"] == config])
    truth = sweep.truth[int(config)]
    return float(searched - truth) / SEED_STD, float(confirmed - truth) / SEED_STD


def _naive_claim(sweep: Sweep, rows: list[Row]) -> bool:
    """Whether the seeds of the search would claim a difference: the best frozen config of three seeds against the best
    learned one of its bytes, paired by seed."""
    means: dict[int, list[float]] = {}
    for row in rows:
        means.setdefault(int(row["config_id"]), []).append(row["ce"])
    full = {config: np.array(values) for config, values in means.items() if len(values) == 3}
    pairs = [
        (one, other)
        for one in full
        for other in full
        if sweep.frozen[one] and not sweep.frozen[other] and sweep.sizes[one] == sweep.sizes[other]
    ]
    return any(paired_test(list(full[one] - full[other])).p_value < 0.05 for one, other in pairs)


def _spec() -> SweepSpec:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulated.yaml"
        path.write_text(
            "search: {method: ehvi}\nbudget: {trials: 400}\nbase: {eval: {tokens: 4096}}\n"
            "space: {model.num_layers: {range: [1, 4]}}\nconfirm: {configs: 5, seeds: 5}\n"
        )
        return load_sweep(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=1_000)
    options = parser.parse_args()
    spec = _spec()
    print(
        "| world | claims a sweep | sweeps with a false claim | by the search's seeds | true claims decided | bias of"
    )
    print("  the best: searched | confirmed |")
    with ProcessPoolExecutor() as pool:
        for world in WORLDS:
            found = list(pool.map(partial(simulated, spec, world), range(options.sweeps), chunksize=10))
            print(_line(world, found), flush=True)


def _line(world: World, found: list[Outcome]) -> str:
    num_claims = sum(one.num_claims for one in found)
    false = np.mean([one.num_false > 0 for one in found])
    naive = f"{np.mean([one.naive_false for one in found]):.3f}" if world.advantage == 0.0 else "–"
    power = f"{sum(one.num_true for one in found) / max(1, num_claims):.3f}" if world.advantage else "–"
    biases = [np.mean([getattr(one, name) for one in found]) for name in ("searched_bias", "confirmed_bias")]
    cells = [world.name, f"{num_claims / len(found):.1f}", f"{false:.3f}", naive, power, *(f"{b:+.2f}" for b in biases)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
