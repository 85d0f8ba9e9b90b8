"""YAML as people mean it, with the line of every key, and damaged files as clear problems."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.spec import yaml_document
from search_spaces.spec.problems import Problem, SpecError, render_problems


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "a.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def values(folder: Path, content: str) -> dict[str, Any]:
    return yaml_document.load(write(folder, content)).values


def problems(folder: Path, content: str | bytes) -> str:
    """The rendered problems of a file, without its name."""
    path = write(folder, content)
    with pytest.raises(SpecError) as caught:
        yaml_document.load(path)
    return str(caught.value).replace(f"{path}", "a.yaml")


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("1e-3", 1e-3),
        ("1E+3", 1e3),
        (".5", 0.5),
        ("-1.", -1.0),
        ("1_000.5", 1000.5),
        ("16_000_000", 16_000_000),
        ("010", 10),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e400", float("inf")),
        ("-.inf", float("-inf")),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("1_", "1_"),
        ("0.1.2", "0.1.2"),
        ("=", "="),
        ("e3", "e3"),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_words_mean_what_they_look_like(tmp_path: Path, word: str, meaning: object) -> None:
    """Plain words follow YAML 1.2 with underscores: none of the traps of 1.1, and quoted words stay text."""
    value = values(tmp_path, f"key: {word}\n")["key"]
    assert value == meaning and type(value) is type(meaning)


def test_not_a_number_is_read(tmp_path: Path) -> None:
    """`.nan` is a float, so that the check for finite numbers sees it."""
    assert values(tmp_path, "a: .nan")["a"] != values(tmp_path, "a: .nan")["a"]


def test_keys_are_text(tmp_path: Path) -> None:
    """`on`, `1` and `null` as keys are their letters, never a boolean, a number or nothing."""
    assert values(tmp_path, "on: 1\n1: 2\nnull: 3\n") == {"on": 1, "1": 2, "null": 3}


def test_block_text_is_text(tmp_path: Path) -> None:
    """A literal block is text even when it looks like a number, and may hold tabs."""
    assert values(tmp_path, "a: |\n  12\n  x\ty\n")["a"] == "12\nx\ty\n"


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    """A file saved by a Windows editor reads like any other."""
    document = yaml_document.load(write(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n"))
    assert document.values == {"a": 1, "b": 2}
    assert document.line(("b",)) == 2


LINES = """\
name: x
base:
  model:
    dim: 64
space:
  train.steps:
    choice:
      - 1
      - 2
  model: {num_layers: {grid: [1, 2]}}
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ((), 1),
        (("name",), 1),
        (("base",), 2),
        (("base", "model", "dim"), 4),
        (("base", "model", "absent", "deeper"), 3),
        (("absent",), 1),
        (("space", "train.steps"), 6),
        (("space", "train.steps", "choice", 1), 9),
        (("space", "train.steps", "choice", 7), 7),
        (("space", "model", "num_layers", "grid", 0), 10),
        (("name", "deeper"), 1),
    ],
)
def test_line_of_a_key(tmp_path: Path, keys: tuple[str | int, ...], line: int) -> None:
    """`line` gives the line of a key or list item, or of its nearest parent."""
    assert yaml_document.load(write(tmp_path, LINES)).line(keys) == line


def test_anchors_and_merge_keys(tmp_path: Path) -> None:
    """`<<` merges; own keys win over merged ones, the first of a list over the next; lines are where a value stands."""
    text = "a: &a {x: 1, y: 1}\nb: &b\n  y: 2\n  z: 2\nc:\n  <<: [*a, *b]\n  x: 3\nd: *b\n"
    document = yaml_document.load(write(tmp_path, text))
    assert document.values["c"] == {"x": 3, "y": 1, "z": 2}
    assert document.values["d"] == {"y": 2, "z": 2}
    assert document.line(("c", "z")) == 4


def test_aliases_share_nothing(tmp_path: Path) -> None:
    """A value that an alias repeats can be changed without changing the other."""
    read = values(tmp_path, "a: &a [1]\nb: *a\n")
    read["a"].append(2)
    assert read["b"] == [1]


def test_documents_can_be_sent(tmp_path: Path) -> None:
    """A document and an error survive pickling, as they travel to workers and back."""
    document = yaml_document.load(write(tmp_path, LINES))
    assert pickle.loads(pickle.dumps(document)).line(("base",)) == 2
    error = SpecError([Problem(keys=("b",), rule="c")], yaml_document.Document(Path("a")))
    assert str(pickle.loads(pickle.dumps(error))) == "a:1: b: c"


@pytest.mark.parametrize(
    ("content", "rendered"),
    [
        ("", "a.yaml: is empty"),
        ("# only a comment\n", "a.yaml: is empty"),
        ("---\n", "a.yaml: is empty"),
        ("- 1\n- b\n", "a.yaml:1: must be a mapping at the top (lines of `key: value`), but got [1, 'b']"),
        ("word\n", "a.yaml:1: must be a mapping at the top (lines of `key: value`), but got 'word'"),
        ("a:\n\tb: 1\n", "a.yaml:2: is indented with a tab; YAML takes only spaces there"),
        ("a:\n  b: 1\n\tc: 1\n", "a.yaml:3: is indented with a tab; YAML takes only spaces there"),
        ("a:\t1\n", "a.yaml:1: holds a tab between words; YAML takes only spaces there"),
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: a: given twice; line 1 has it already"),
        (
            "a: {b: 1, b: 2}\na: 1",
            "a.yaml:1: a.b: given twice; line 1 has it already\na.yaml:2: a: given twice; line 1",
        ),
        ("a: *b\n", "a.yaml:1: the alias *b has no anchor above it"),
        ("a: &a [*a]\n", "a.yaml:1: a[0][0]: is nested deeper than 40 levels"),
        ("a: !!python/object:os.system x\n", "a.yaml:1: a: the tag 'tag:yaml.org,2002:python/object:os.system' is not"),
        ("a: !!str 1\n", "a.yaml:1: a: the tag"),
        ("[a]: 1\n", "a.yaml:1: a key must be a word, but got ['a']"),
        ("'': 1\n", "a.yaml:1: a key must be a word, but got ''"),
        ("a: 1\nb: {<<: 3}\n", "a.yaml:2: b.<<: must name a mapping or a list of mappings, but got 3"),
        ("a: 1\n---\nb: 1\n", "a.yaml:2: a second document begins here (`---`); one file holds one"),
        (
            "a: 'x\nb: 3\n",
            "a.yaml:1: is not valid YAML: found unexpected end of stream (while scanning a quoted scalar)",
        ),
        ("a: 1\nb:2\n", "a.yaml:2: is not valid YAML: could not find expected ':'"),
        ("a: [1, 2\nb: 3\n", "a.yaml:2: is not valid YAML: expected ',' or ']'"),
        ("a: b: c\n", "a.yaml:1: is not valid YAML: mapping values are not allowed here, but got 'a: b: c'"),
        ("a: 1\nb: \x07\n", "a.yaml:2: holds the control character U+0007; is this a text file?"),
        (b"a: 1\nb: \xe9\n", "a.yaml:2: is not UTF-8 text: byte 0xe9 at offset 8"),
        (bytes(range(256)), "a.yaml: is a binary file, not YAML text"),
        ("a: 1\n".encode("utf-16"), "a.yaml: is a binary file, not YAML text"),
        ("#" * (1 << 20) + "\na: 1\n", "a.yaml: is larger than 1,048,576 bytes; is this the right file?"),
        ("a: " + "[" * 45 + "]" * 45, "a.yaml:1: a[0][0]: is nested deeper than 40 levels"),
        ("a: " + "[" * 3000, "a.yaml: is nested deeper than 40 levels"),
    ],
    ids=range(29),
)
def test_damaged_files(tmp_path: Path, content: str | bytes, rendered: str) -> None:
    """Every kind of wrong file gives its own clear lines, each with file and line."""
    text = problems(tmp_path, content)
    assert text.startswith(rendered)
    assert len(text) < 400


def test_files_that_are_none(tmp_path: Path) -> None:
    """A name without a file, a folder, and a name no file can have are said to be so."""
    for path, rule in (
        (tmp_path / "b", "no such file"),
        (tmp_path, "is a folder, not a file"),
        (Path("a\0"), "no such"),
    ):
        with pytest.raises(SpecError, match=rule):
            yaml_document.load(path)


def test_alias_bomb_is_refused(tmp_path: Path) -> None:
    """Ten lines that stand for ten billion values are refused at once, not expanded."""
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
    bomb += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    assert problems(tmp_path, bomb) == "a.yaml:5: a4: expands to more than 100,000 values"


def test_many_problems_fill_one_screen(tmp_path: Path) -> None:
    """Twenty problems are shown and the rest counted."""
    text = problems(tmp_path, "a: 1\n" * 28)
    assert text.count("\n") == 20
    assert text.endswith("… and 7 more")


def test_hostile_text_cannot_reach_the_terminal() -> None:
    """Escape sequences in keys and values are shown, not sent; long ones are cut."""
    problem = Problem(keys=("\x1b[31m" + "k" * 500,), rule="r", value="\x1b[0m" * 100)
    text = render_problems([problem], yaml_document.Document(Path("f")))
    assert text.isprintable() and len(text) < 150


PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters(codec="utf-8"))
)
WORDS = st.sampled_from(
    ["1e-3", "010", "no", "1_0", "0x1", "~", "1:30", "true", ".inf", "", "<<", "2024-01-01", "a: b", "\x85", "a\u2028b"]
)
TREES = st.recursive(
    PLAIN | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.-:#<", min_size=1), inner, max_size=3),
)


@given(st.dictionaries(st.text("xyz_", min_size=1), TREES, min_size=1, max_size=4))
@settings(max_examples=60)
def test_what_is_dumped_is_loaded(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]) -> None:
    """`load` gives back exactly what `dump` wrote, for any plain values, types included."""
    path = tmp_path_factory.getbasetemp() / "tree.yaml"
    path.write_text(yaml_document.dump(tree), encoding="utf-8")
    assert repr(yaml_document.load(path).values) == repr(tree)
