"""The JSON Schema of sweep files, for editors and validators; `search_spaces/sweep.schema.json` is what it gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from search_spaces.spec.config_keys import ConfigKey, keys_of, part_of
from search_spaces.spec.sections.resources import TrialKeys
from search_spaces.spec.sweep_file import SweepFile
from search_spaces.spec.sweep_spec import OBJECTIVES

FILE = Path(__file__).with_name("sweep.schema.json")
NUMBERS = {"range": ("low", "high"), "log_range": ("low", "high"), "steps": ("low", "high", "step")}


def sweep_schema() -> dict[str, Any]:
    """The schema of a whole sweep file (JSON Schema, draft 2020-12)."""
    schema = SweepFile.model_json_schema()
    definitions = schema["$defs"]
    definitions |= part_of(TrialKeys).model_json_schema().get("$defs", {})
    patterns = definitions["ArtifactConfigPart"]["properties"]["bits_by_pattern"]["anyOf"]
    patterns.append({"type": "object", "additionalProperties": {"type": "integer"}})  # read as the list of its entries
    definitions["Space"] = {"type": "object", "additionalProperties": False, "properties": _space(definitions)}
    definitions["When"] = {"type": "object", "minProperties": 1}
    definitions["CaseFile"]["properties"] |= {"space": {"$ref": "#/$defs/Space"}, "when": {"$ref": "#/$defs/When"}}
    schema["properties"]["objectives"]["propertyNames"] = {"enum": list(OBJECTIVES)}
    schema["properties"]["space"] = {"anyOf": [{"$ref": "#/$defs/Space"}, {"type": "null"}]}
    for name, section in schema["properties"].items():
        if "null" not in json.dumps(section):  # a section with nothing in it is one that was left out
            schema["properties"][name] = {"anyOf": [section, {"type": "null"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_lean(schema), "title": "frostline sweep"}


def render() -> str:
    """The text of the shipped file."""
    return json.dumps(sweep_schema(), indent=1, sort_keys=True) + "\n"


def _space(definitions: dict[str, Any]) -> dict[str, Any]:
    """Every key that may vary: dotted, and nested in its section."""
    keys = {name: key for name, key in keys_of(TrialKeys).items() if name != "seed"}
    definitions |= {f"space:{name}": _parameter(key) for name, key in keys.items()}
    flat = {name: {"$ref": f"#/$defs/space:{name}"} for name in keys}
    nested = {
        name: {"anyOf": [flat[name], _nested(name, flat)]} for name, key in keys.items() if key.section is not None
    }
    return {**flat, **nested}


def _nested(section: str, flat: dict[str, Any]) -> dict[str, Any]:
    inside = {name.removeprefix(f"{section}."): one for name, one in flat.items() if name.startswith(f"{section}.")}
    return {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": inside}


def _parameter(key: ConfigKey) -> dict[str, Any]:
    """What one key may be in a space: a choice or grid of its values, and numbers where it takes those."""
    value = _value(key)
    listed = {"type": "array", "items": value, "minItems": 1}
    kinds: dict[str, Any] = {"choice": listed, "grid": listed}
    if key.number is not None:
        for kind, names in NUMBERS.items():
            number = {"type": "number"}
            kinds[kind] = {"type": "array", "items": number, "minItems": len(names), "maxItems": len(names)}
    return {
        "type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1, "properties": kinds,
    }  # fmt: skip


def _value(key: ConfigKey) -> dict[str, Any]:
    if key.section is not None:
        return {"$ref": f"#/$defs/{part_of(key.section).__name__}"}
    owner = part_of(TrialKeys)
    for part in key.name.split(".")[:-1]:
        section = keys_of(TrialKeys)[part].section
        owner = part_of(section) if section is not None else owner
    last = key.name.rpartition(".")[2]
    schema: dict[str, Any] = TypeAdapter(owner).json_schema()["properties"][last]
    return {name: part for name, part in schema.items() if name != "description"}


def _lean(schema: Any) -> Any:
    """Without pydantic's titles and the null defaults of parts, which say nothing to a reader."""
    if isinstance(schema, list):
        return [_lean(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: value
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    return {key: _lean(value) for key, value in kept.items()}


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
