"""Reads YAML into plain values that know the line of every key; YAML 1.2 scalars; bounded in size.

Plain words follow YAML 1.2 with underscores in numbers: `1e-3` is a float, `16_000_000` an integer, `010` is ten;
`no`, `on`, `1:30` and dates are text. Keys are always text. Anchors and merge keys (`<<`) work; tags are refused.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from search_spaces.spec.problems import Keys, Problem, SpecError, printable, shown

Scalar = str | int | float | bool | None

# Bounds that no sweep file of a user meets, but that a wrong file or an alias bomb does.
MAX_FILE_BYTES = 1 << 20
MAX_VALUES = 100_000
MAX_DEPTH = 40
MAX_DIGITS = 300
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"

_INTEGER = re.compile(r"[-+]?[0-9](_?[0-9])*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9](_?[0-9])*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclasses.dataclass(frozen=True)
class Document:
    """A YAML file: its plain values, and the line of each key and list item. Line -n is argument n of a command."""

    path: Path
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    lines: Mapping[Keys, int] = dataclasses.field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    def line(self, keys: Keys) -> int:
        """The line of the key (or list item) at `keys`, or of its nearest parent that exists."""
        ways = (keys[:length] for length in range(len(keys), -1, -1))
        return next((self.lines[way] for way in ways if way in self.lines), 1)

    def place(self, keys: Keys, line: int | None = None) -> tuple[int, str]:
        """A number to sort by, and the place as text; line 0 is the file as a whole."""
        number = self.line(keys) if line is None else line
        if number < 0:
            return number, f"argument {printable(self.arguments[-number - 1])}"
        return number, printable(str(self.path)) + (f":{number}" if number else "")


def load(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises:
        SpecError: with every problem found, sorted by line.
    """
    document, problems = read(path)
    if problems:
        raise SpecError(problems, document)
    return document


def read(path: Path) -> tuple[Document, list[Problem]]:
    """As `load`, but problems that leave a readable document (keys given twice) are returned, not raised."""
    text, reader = _text(path), _Reader(path)
    try:
        root = yaml.compose(text, Loader=_Composer)
    except yaml.MarkedYAMLError as error:
        raise SpecError([_syntax_problem(text, error)], Document(path)) from error
    except RecursionError as error:  # hundreds of levels: PyYAML builds them before they can be counted
        raise SpecError([Problem(rule=_TOO_DEEP, line=0)], Document(path)) from error
    except yaml.reader.ReaderError as error:
        # Text that was decoded already can only hold a character that YAML refuses.
        line = text.count("\n", 0, error.position) + 1
        rule = f"holds the control character U+{error.character:04X}; is this a text file?"
        raise SpecError([Problem(rule=rule, line=line)], Document(path)) from error
    values = None if root is None else reader.value(root, ())
    if root is None or values is None or values == "":
        raise SpecError([*reader.problems, Problem(rule="is empty", line=0)], Document(path))
    if not isinstance(values, dict):
        rule = "must be a mapping at the top (lines of `key: value`)"
        raise SpecError([*reader.problems, Problem(rule=rule, value=values, line=_line(root))], Document(path))
    return Document(path, values, reader.lines), reader.problems


def parse_value(text: str) -> Any:
    """What a word or a flow collection such as `[1, 2]` stands for.

    Raises:
        ValueError: if it is not YAML.
    """
    reader = _Reader(Path(text))
    try:
        root = yaml.compose(text, Loader=_Composer)
        value = None if root is None else reader.value(root, ())
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(text) from error
    if reader.problems:
        raise ValueError(text)
    return value


def dump(values: Mapping[str, Any]) -> str:
    """YAML text that `load` reads back as the same values."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def inline(value: Any) -> str:
    """A value as YAML in one line, without a line break at its end."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=math.inf
    )
    return text.removesuffix("\n").removesuffix("\n...")


def plain_scalar(text: str) -> Scalar:
    """What an unquoted word means."""
    if text in _WORDS:
        return _WORDS[text]
    # Python refuses to read integers of thousands of digits, and nothing here needs one.
    if len(text) > MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NOT_FINITE.fullmatch(text) else text


def _text(path: Path) -> str:
    def unreadable(rule: str, line: int = 0) -> SpecError:
        return SpecError([Problem(rule=rule, line=line)], Document(path))

    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise unreadable("is a folder, not a file") from None
    except (FileNotFoundError, ValueError):  # a name that holds a NUL byte is a ValueError
        raise unreadable("no such file") from None
    except OSError as error:
        raise unreadable(f"cannot be read: {error.strerror}") from error
    if b"\0" in content:
        raise unreadable("is a binary file, not YAML text")
    if len(content) > MAX_FILE_BYTES:
        raise unreadable(f"is larger than {MAX_FILE_BYTES:,} bytes; is this the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rule = f"is not UTF-8 text: byte 0x{content[error.start]:02x} at offset {error.start}"
        raise unreadable(rule, line=content.count(b"\n", 0, error.start) + 1) from None


def _syntax_problem(text: str, error: yaml.MarkedYAMLError) -> Problem:
    lines = text.splitlines() or [""]
    mark, context = error.problem_mark, error.context_mark
    # A missing colon or closing quote is noticed where the text goes on; the mistake is where the thing began.
    starts = error.problem in ("could not find expected ':'", "found unexpected end of stream")
    at = context if starts and context is not None else mark
    number = min(at.line, len(lines) - 1) if at is not None else 0
    if "'\\t'" in str(error.problem):
        indented = "\t" in lines[number][: len(lines[number]) - len(lines[number].lstrip())]
        rule = "is indented with a tab" if indented else "holds a tab between words"
        return Problem(rule=rule, line=number + 1, hint="YAML takes only spaces there")
    if error.problem == "but found another document":
        return Problem(rule="a second document begins here (`---`); one file holds one", line=number + 1)
    if str(error.problem).startswith("found undefined alias"):
        name = str(error.problem).split("'")[1]
        return Problem(rule=f"the alias *{name} has no anchor above it", line=number + 1)
    rule = f"is not valid YAML: {error.problem}" + (f" ({error.context})" if error.context else "")
    hint = None
    if error.problem in ("could not find expected ':'", "mapping values are not allowed here"):
        hint = "write `key: value` with a space after the colon, indented like the lines around it"
    return Problem(rule=rule, line=number + 1, value=lines[number].strip(), hint=hint)


class _Composer(yaml.BaseLoader):
    """PyYAML's composer, with an empty tag where the file gives none: an explicit `!!str` can be told from it."""

    DEFAULT_SCALAR_TAG = DEFAULT_SEQUENCE_TAG = DEFAULT_MAPPING_TAG = ""  # type: ignore[misc]


class _Reader:
    """Plain values of PyYAML's nodes. What aliases stand for is copied, within bounds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.lines: dict[Keys, int] = {}
        self.num_values = 0

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        """The plain value of the node at `keys`; the lines of all that is in it are noted."""
        self.num_values += 1
        if len(keys) > MAX_DEPTH:
            raise self._fatal(_TOO_DEEP, keys[:3])
        if self.num_values > MAX_VALUES:
            raise self._fatal(f"expands to more than {MAX_VALUES:,} values", keys[:1])
        if node.tag:
            self._add(node, keys, f"the tag {shown(node.tag)} is not understood: tags are not supported")
        if isinstance(node, yaml.MappingNode):
            entries = self._entries(node, keys)
            self.lines.update({(*keys, key): line for key, (line, _) in entries.items()})
            return {key: self.value(inner, (*keys, key)) for key, (_, inner) in entries.items()}
        if isinstance(node, yaml.SequenceNode):
            self.lines.update({(*keys, index): _line(item) for index, item in enumerate(node.value)})
            return [self.value(item, (*keys, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        if _SURROGATE.search(node.value):
            self._add(node, keys, "holds half of a surrogate pair, which is no character")
            return None
        return plain_scalar(node.value) if node.style is None else str(node.value)

    def _entries(self, node: yaml.MappingNode, keys: Keys) -> dict[str, tuple[int, yaml.Node]]:
        """Line and node of each key; keys are text, `on` and `1` too. What `<<` names follows, where it is not set."""
        entries: dict[str, tuple[int, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key_node, value in node.value:
            key = key_node.value
            if not isinstance(key, str) or not key or key_node.tag:
                self._add(key_node, keys, "a key must be a word", value=self.value(key_node, keys))
            elif key == "<<" and key_node.style is None:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif key in entries:
                self._add(key_node, (*keys, key), f"given twice; line {entries[key][0]} has it already")
            else:
                entries[key] = (_line(key_node), value)
        for parent in merged:
            place = (*keys, "<<")
            value = self.value(parent, place)  # looked at as a whole first, so that what it expands to is bounded
            if isinstance(parent, yaml.MappingNode):
                entries |= {key: one for key, one in self._entries(parent, place).items() if key not in entries}
            else:
                self._add(parent, place, "must name a mapping or a list of mappings", value=value)
        return entries

    def _fatal(self, rule: str, keys: Keys) -> SpecError:
        return SpecError([*self.problems, Problem(rule=rule, keys=keys)], Document(self.path, {}, self.lines))

    def _add(self, node: yaml.Node, keys: Keys, rule: str, **value: Any) -> None:
        self.problems.append(Problem(rule=rule, keys=keys, line=_line(node), **value))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Dumper(yaml.SafeDumper):
    """Writes what `plain_scalar` reads: text that would be read as a number is quoted, nothing is an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes some line breaks (U+0085) bare between single quotes, and reads them back as spaces.
    if not text.isprintable():
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    ambiguous = not isinstance(plain_scalar(text), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if ambiguous else None)


_Dumper.add_representer(str, _represent_text)
