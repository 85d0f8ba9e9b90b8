"""Reads the `base` of a sweep file: settings that all trials share."""

from __future__ import annotations

from typing import Any

from search_spaces.spec.config_keys import check_mapping, check_value, find_key, normalized, normalized_value
from search_spaces.spec.problem_list import ProblemList
from search_spaces.spec.problems import Keys
from trainer.config.section import Section
from trainer.config.trial import TrialConfig


def parse_base(raw: Any, where: Keys, findings: ProblemList) -> dict[str, Any]:
    """The values that are right by themselves; what is wrong with the others is noted."""
    if raw is None:
        return {}
    if isinstance(raw, dict) and "seed" in raw:
        hint = "write seeds: [1, 2, 3] there, for replicates"
        findings.add((*where, "seed"), "belongs to `seeds` at the top of the file", hint=hint)
        raw = {key: value for key, value in raw.items() if key != "seed"}
    if check_mapping(TrialConfig, "", raw, where, findings):
        return normalized(TrialConfig, "", raw)
    return valid_part(TrialConfig, "", raw) if isinstance(raw, dict) else {}


def valid_part(root: type[Section], prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """What is left of a mapping, normalized, without the keys that are wrong by themselves."""
    valid: dict[str, Any] = {}
    for name, value in values.items():
        place = find_key(root, f"{prefix}{name}") if "." not in name else None
        if place is not None and place.section is not None and isinstance(value, dict):
            valid[name] = valid_part(root, f"{place.key}.", value)
        elif place is not None and check_value(root, place, value, (), ProblemList(None)):
            valid[name] = normalized_value(root, place.key, value)
    return valid
