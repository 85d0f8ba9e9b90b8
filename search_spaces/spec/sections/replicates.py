"""The sections `replicates` and `confirm` of a sweep: which configs get more seeds, and which are confirmed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from trainer.config.section import Section

When = Literal["auto", "near_front", "always"]
MAX_SEEDS = 10_000
MAX_CONFIRMED = 100
# Of the budget, where the file does not say how many configs are confirmed.
CONFIRM_SHARE = 0.25
CONFIRM_CONFIGS = 5
# Seeds of confirmation begin here, so that a reader knows them at sight.
FIRST_FRESH_SEED = 101


def _seeds(value: Any) -> Any:
    """A number n stands for the seeds 1 to n."""
    if not isinstance(value, int) or isinstance(value, bool):
        return tuple(value) if isinstance(value, list) else value
    if not 1 <= value <= MAX_SEEDS:
        raise ValueError(f"must be from 1 to {MAX_SEEDS:,} replicates")
    return tuple(range(1, value + 1))


SEED = Annotated[int, Field(ge=0, lt=2**63)]
Seeds = Annotated[
    tuple[SEED, ...],
    BeforeValidator(_seeds),
    Field(min_length=1, max_length=MAX_SEEDS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
                {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
            ]
        }
    ),
]


class ReplicatesConfig(Section):
    """Which configs are trained with more than the first seed. See `docs/replicates.md`."""

    when: When = Field(
        default="auto",
        description="always: all seeds at once; near_front: where the front is in doubt; auto: by the method of search",
    )
    seeds: Seeds | None = Field(
        default=None,
        description="another place for `seeds` of the sweep",
        json_schema_extra={"expected": "a list of whole numbers, or how many"},
    )
    share: float = Field(default=0.25, ge=0, le=1, description="near_front: most of the trials that are replicates")


class ConfirmConfig(Section):
    """What is trained once more at the end, with fresh seeds and on other text. See `docs/replicates.md`."""

    configs: int | None = Field(
        default=None,
        ge=0,
        le=MAX_CONFIRMED,
        description="of the front, each with a rival of equal bytes; null = up to 5 with an adaptive search, else 0",
    )
    seeds: int = Field(default=5, ge=2, le=100, description="fresh ones of every config that is confirmed")
