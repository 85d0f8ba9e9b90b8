"""What confirmation says: each confirmed config, and what may be claimed of it against its rival of equal bytes.

Confirmation trains configs once more with fresh seeds and scores them once on the second part of the validation text,
which no choice has seen. The best of hundreds is too good by chance; the same config with fresh seeds is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from results.analysis.replicate_groups import Confirmed, Row, by_key, is_suspect, over_seeds
from results.analysis.statistics import PairedTest, holm, paired_test

LEVEL = 0.05  # the chance of any false claim among all of one run
MIN_PAIRS = 2
KEY = ("config_id", "data_sha256")
Key = tuple[str, str | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A confirmed config against its rival: the difference in nats per token (bits per byte if that is the objective),
    paired by seed and accelerator; negative is better than the rival.

    `p_value` is adjusted by Holm for all claims together. `test` is None with fewer than two pairs. `num_lost`: fresh
    trials of the two that gave no score, or that broke a limit: what is left of them would be too good.
    """

    config_id: str
    data_sha256: str | None
    against: str
    bytes_ratio: float | None  # of the rival over the config
    accelerators: tuple[str, ...]
    test: PairedTest | None
    p_value: float | None
    num_lost: int

    @property
    def is_decided(self) -> bool:
        return self.p_value is not None and self.p_value < LEVEL and not self.num_lost


def confirmed_configs(rows: Iterable[Row], column: str = "ce_test") -> dict[Key, Confirmed]:
    """Every config with completed trials of confirmation, by its id and the fingerprint of its data.

    Args:
        rows: of the table of trials.
        column: `ce_test` or `bpb_test`.
    """
    found = {}
    for (config_id, data_sha256), group in by_key(_fresh(rows), KEY).items():
        scored = [row for row in group if _is_scored(row, column)]
        test = over_seeds(scored, lambda row: row[column])
        again = over_seeds(scored, lambda row: row[column.removesuffix("_test")])
        if test is not None and again is not None:
            found[config_id, data_sha256] = Confirmed(
                config_id=config_id,
                test=test,
                again=again,
                accelerators=_accelerators(scored),
                against=next(iter(_rivals(group)), None),
                num_lost=len(group) - len(scored),
            )
    return found


def claims_of(rows: Sequence[Row], column: str = "ce_test") -> tuple[Claim, ...]:
    """The comparisons that were chosen before confirmation, tested together; see `Claim`."""
    groups = by_key(_fresh(rows), KEY)
    pairs = [
        (group, rival, groups.get((rival, data_sha256), []))
        for (_, data_sha256), group in groups.items()
        for rival in _rivals(group)
    ]
    differences = [_differences(one, other, column) for one, _, other in pairs]
    tests = [paired_test(values) if len(values) >= MIN_PAIRS else None for values in differences]
    adjusted = iter(holm([test.p_value for test in tests if test is not None]))
    return tuple(
        Claim(
            config_id=one[0]["config_id"],
            data_sha256=one[0]["data_sha256"],
            against=rival,
            bytes_ratio=_bytes_ratio(other, one),
            accelerators=_accelerators(one),
            test=test,
            p_value=None if test is None else next(adjusted),
            num_lost=sum(not _is_scored(row, column) or row["feasible"] is False for row in [*one, *other]),
        )
        for (one, rival, other), test in zip(pairs, tests, strict=True)
    )


def _fresh(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.get("stage") == "confirm"]


def _is_scored(row: Row, column: str) -> bool:
    return row["status"] == "completed" and row.get(column) is not None and not is_suspect(row)


def _rivals(group: Iterable[Row]) -> list[str]:
    """What a config is compared with: one in each run, and usually the same one."""
    return list(dict.fromkeys(row["confirm_against"] for row in group if row["confirm_against"] is not None))


def _differences(one: Sequence[Row], other: Sequence[Row], column: str) -> list[float]:
    """One for each seed and accelerator: two runs of one seed are averaged, as they are no independent evidence."""
    ours, theirs = _means(one, column), _means(other, column)
    return [ours[key] - theirs[key] for key in ours if key in theirs]


def _means(rows: Sequence[Row], column: str) -> dict[tuple[Any, ...], float]:
    groups = by_key([row for row in rows if _is_scored(row, column)], ("seed", "accelerator"))
    return {key: sum(row[column] for row in group) / len(group) for key, group in groups.items()}


def _bytes_ratio(other: Sequence[Row], one: Sequence[Row]) -> float | None:
    sizes = [max((row["artifact_bytes"] or 0 for row in rows), default=0) for rows in (other, one)]
    return sizes[0] / sizes[1] if all(sizes) else None


def _accelerators(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(sorted({row["accelerator"] for row in rows if row["accelerator"]}))
