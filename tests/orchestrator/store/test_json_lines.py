"""Files of JSON lines, through deaths in the middle of a line."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.json_lines import append_line


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text()), max_size=5), st.integers(0, 200))
def test_an_unfinished_line_costs_itself_alone(
    tmp_path_factory: object, lines: list[dict[str, object]], cut: int
) -> None:
    """Whatever a death leaves of the file, the next line stands by itself and can be read."""
    path = tmp_path_factory.mktemp("lines") / "deep" / "log.jsonl"  # type: ignore[attr-defined]
    for line in lines:
        append_line(path, line)
    if lines:
        path.write_bytes(path.read_bytes()[:cut])
    append_line(path, {"last": 1})
    assert json.loads(path.read_bytes().splitlines()[-1]) == {"last": 1}


def test_lines_are_in_order(tmp_path: Path) -> None:
    """Each on its own."""
    for number in range(3):
        append_line(tmp_path / "log.jsonl", {"number": number})
    assert [json.loads(line)["number"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [0, 1, 2]
