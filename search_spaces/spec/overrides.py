"""Overrides of a sweep file from the command line, as Hydra users type them: `base.train.steps=2000`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from search_spaces.spec.problems import Problem
from search_spaces.spec.yaml_document import Document, Node, parse_value


def overridden(document: Document, arguments: Sequence[str]) -> tuple[Document, list[Problem]]:
    """The document with each `key=value` set; what an argument is wrong with is placed at the argument.

    A key is dotted from the top of the file; keys that are dotted in the file (`model.dim:`) are found as they are.
    """
    document = dataclasses.replace(document, arguments=tuple(arguments))
    problems = []
    root = document.root
    for index, argument in enumerate(arguments):
        line = -(index + 1)
        key, equals, text = argument.partition("=")
        value = parse_value(text, line) if equals else None
        if not equals or not all(key.strip().split(".")):
            problems.append(Problem(line=line, rule="must be KEY=VALUE, such as base.train.steps=2000"))
        elif value is None:
            problems.append(Problem(line=line, rule="its value is not YAML, such as 5, cpu or [1, 2]"))
        else:
            root = _with(root, key.strip().split("."), value, line)
    return dataclasses.replace(document, root=root), problems


def _with(node: Node, parts: list[str], value: Node, line: int) -> Node:
    """The node with the value at a dotted key, whose parts may be joined in the file."""
    entries = dict(node.content) if isinstance(node.content, dict) else {}
    for length in range(len(parts), 0, -1):
        name, rest = ".".join(parts[:length]), parts[length:]
        if name in entries or length == 1:
            old_line, old = entries.get(name, (line, Node(line, {})))
            entries[name] = (old_line, _with(old, rest, value, line)) if rest else (line, value)
            break
    return Node(node.line, entries, 1 + sum(inner.num_values for _, inner in entries.values()))
