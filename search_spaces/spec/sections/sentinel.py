"""The section `sentinel` of a sweep: the control that every node trains again and again, to show that it is healthy."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from trainer.config.section import Section

MAX_HOURS = 24 * 366
MAX_STEPS = 10_000
OFF: dict[str, Any] = {"every_hours": 0.0}


class SentinelConfig(Section):
    """How often, and how long. Without the section: on a cluster of several nodes, for a night. See `docs/night.md`."""

    every_hours: float = Field(
        default=2.0, ge=0, le=MAX_HOURS, description="beside once when a node joins; 0 = off, no sentinels at all"
    )
    steps: int = Field(default=50, ge=3, le=MAX_STEPS, description="of the control that is trained")

    @property
    def is_on(self) -> bool:
        return self.every_hours > 0


def _off(value: Any) -> Any:
    return OFF if value is False or value == "off" else value


Sentinel = Annotated[
    SentinelConfig,
    BeforeValidator(_off),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["off", False]},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "every_hours": {"type": "number", "minimum": 0, "maximum": MAX_HOURS},
                        "steps": {"type": "integer", "minimum": 3, "maximum": MAX_STEPS},
                    },
                },
            ]
        }
    ),
]
