"""Writes docs/settings.md: every setting of a trial with its values and its default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trainer.config.model import FAMILIES
from trainer.config.training import OPTIMIZERS
from trainer.config.trial import TrialConfig


def render_markdown() -> str:
    """The text of docs/settings.md."""
    head = [
        "# Settings of a trial",
        "",
        "<!-- Generated: make docs -->",
        "",
        "The keys of a trial file and of a sweep's `base` and `space`. `by family` and `by name`: see below the table.",
        "",
        "| key | values | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    rows = [
        f"| `{key}` | {_values(field)} | {_default(key, field)} | {field.description or ''} |"
        for key, field in _leaves()
    ]
    return "\n".join([*head, *rows, "", *_presets("model.family", FAMILIES), *_presets("optimizer.name", OPTIMIZERS)])


def _leaves(model: type[BaseModel] = TrialConfig, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        sections = [t for t in (field.annotation, *get_args(field.annotation)) if _is_section(t)]
        if sections:
            yield from _leaves(sections[0], f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _values(field: FieldInfo) -> str:
    bounds = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in bounds.items()
        if hasattr(rule, name)
    ]
    return ", ".join([_type(field.annotation), *limits])


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " / ".join(str(value) for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    if len(get_args(annotation)) > 1 and get_origin(annotation) in (Union, type(int | None)):
        return " or ".join(_type(part) for part in get_args(annotation))
    names = {int: "whole number", float: "number", bool: "true / false", str: "text", type(None): "null"}
    return names[annotation]


def _default(key: str, field: FieldInfo) -> str:
    if field.is_required():
        return "by family" if key.startswith("model.") else "by name"
    return f"[{', '.join(field.default)}]" if isinstance(field.default, tuple) else _text(field.default)


def _text(value: Any) -> str:
    """A value as YAML has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _presets(key: str, presets: dict[str, dict[str, Any]]) -> Iterator[str]:
    names = list(presets)
    yield f"What `{key}` fills where nothing is given:"
    yield ""
    yield f"| setting | {' | '.join(names)} |"
    yield f"| --- | {' | '.join('---' for _ in names)} |"
    for setting in presets[names[0]]:
        yield f"| `{setting}` | {' | '.join(_text(presets[name][setting]) for name in names)} |"
    yield ""


if __name__ == "__main__":
    print(render_markdown())
