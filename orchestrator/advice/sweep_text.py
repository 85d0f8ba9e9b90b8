"""The next sweep as the text of a sweep file, with a comment above each key that says why it is what it is. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.advice.narrowing import Narrowed
from orchestrator.advice.next_space import NextSpace
from search_spaces.spec.problems import printable
from search_spaces.spec.yaml_document import dump, inline

WIDTH = 110


def sweep_text(sections: Mapping[str, Any], space: NextSpace, header: Sequence[str]) -> str:
    """A sweep file.

    Args:
        sections: all but `space` and `cases`, as plain values.
        header: lines of the comment at the top.
    """
    lines = [line for one in header for line in _comment(one, "")]
    lines += ["", *dump(sections).splitlines(), *_space(space.space, "")]
    if space.cases:
        lines.append("cases:")
    for case in space.cases:
        when = {key: list(values) for key, values in case.when.items()}
        lines += [f"- when: {inline(when)}", *_space(case.space, "  ")]
    return "\n".join(lines) + "\n"


def _space(parameters: Sequence[Narrowed], indent: str) -> Iterator[str]:
    yield f"{indent}space:" + ("" if parameters else " {}")
    for one in parameters:
        yield from _comment(one.why, f"{indent}  ")
        parameter = one.parameter
        yield f"{indent}  {inline(parameter.key)}: {inline({parameter.kind: list(parameter.values)})}"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(printable(text), WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
