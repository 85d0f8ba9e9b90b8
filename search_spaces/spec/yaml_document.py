"""Reads YAML into plain values that know the line of every key; YAML 1.2 scalars; bounded in size.

Plain words follow YAML 1.2 with underscores in numbers: `1e-3` is a float, `16_000_000` an integer, `010` is ten;
`no`, `on`, `1:30` and dates are text. Keys are always text. Anchors and merge keys (`<<`) work; tags are refused.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
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

_INTEGER = re.compile(r"[-+]?[0-9](_?[0-9])*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9](_?[0-9])*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclasses.dataclass(frozen=True)
class Node:
    """A value with its line; mappings hold the line of each key beside its node. Line -n is argument n of a command."""

    line: int
    content: Scalar | list[Node] | dict[str, tuple[int, Node]]
    num_values: int = 1

    def plain(self) -> Any:
        """The value without lines; what an alias shares is copied."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, (_, node) in self.content.items()}
        return [node.plain() for node in self.content] if isinstance(self.content, list) else self.content


@dataclasses.dataclass(frozen=True)
class Document:
    """A YAML file: its values, and where each of its keys was written: a line, or an argument of the command line."""

    path: Path
    root: Node = Node(1, {})
    arguments: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        values = self.root.plain()
        assert isinstance(values, dict)
        return values

    def line(self, keys: Keys) -> int:
        """The line of the key (or list item) at `keys`, or of its nearest parent that exists."""
        line, node = self.root.line, self.root
        for key in keys:
            if isinstance(node.content, dict) and isinstance(key, str) and key in node.content:
                line, node = node.content[key]
            elif isinstance(node.content, list) and isinstance(key, int) and key < len(node.content):
                node = node.content[key]
                line = node.line
            else:
                break
        return line

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
    source, text = Document(path), _text(path)
    composer = _Composer(source)
    try:
        root = composer.compose(yaml.parse(text, Loader=yaml.BaseLoader))
    except yaml.MarkedYAMLError as error:
        raise SpecError([*composer.problems, _syntax_problem(text, error)], source) from error
    except yaml.reader.ReaderError as error:
        # Text that was decoded already can only hold a character that YAML refuses.
        line = text.count("\n", 0, error.position) + 1
        rule = f"holds the control character U+{error.character:04X}; is this a text file?"
        raise SpecError([Problem(rule=rule, line=line)], source) from error
    if root is None:
        raise SpecError([*composer.problems, Problem(rule="is empty", line=0)], source)
    if not isinstance(root.content, dict):
        rule = "must be a mapping at the top (lines of `key: value`)"
        raise SpecError([*composer.problems, Problem(rule=rule, value=root.plain(), line=root.line)], source)
    return Document(path, root), composer.problems


def parse_value(text: str, line: int) -> Node | None:
    """What a word or a flow collection such as `[1, 2]` stands for, every part at `line`; None if it is not YAML."""
    composer = _Composer(Document(Path(text)), line)
    try:
        node = composer.compose(yaml.parse(text, Loader=yaml.BaseLoader))
    except (yaml.YAMLError, SpecError):
        return None
    return None if composer.problems else node or Node(line, None)


def dump(values: Mapping[str, Any]) -> str:
    """YAML text that `load` reads back as the same values."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


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
    rule = f"is not valid YAML: {error.problem}" + (f" ({error.context})" if error.context else "")
    hint = None
    if error.problem in ("could not find expected ':'", "mapping values are not allowed here"):
        hint = "write `key: value` with a space after the colon, indented like the lines around it"
    return Problem(rule=rule, line=number + 1, value=lines[number].strip(), hint=hint)


class _Composer:
    """Builds nodes from PyYAML's events. What aliases expand to is counted as it is built, so that it stays bounded."""

    def __init__(self, source: Document, fixed_line: int | None = None) -> None:
        self.source, self.fixed_line = source, fixed_line
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}

    def compose(self, events: Iterator[yaml.Event]) -> Node | None:
        """The first document's root; None if there is nothing in the file."""
        root = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self._add(event, (), "a second document begins here (`---`); one file holds one")
                break
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, events, ())
        nothing = root is not None and isinstance(root.content, str | None) and not root.content
        return None if nothing else root

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], keys: Keys) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, keys)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.tag is not None:
            self._add(event, keys, f"the tag {shown(event.tag)} is not understood: tags are not supported")
        if len(keys) > MAX_DEPTH:
            raise self._fatal(event, keys, f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._line(event), self._scalar(event, keys))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, events, keys)
        else:
            node = self._mapping(event, events, keys)
        if node.num_values > MAX_VALUES:
            raise self._fatal(event, keys, f"expands to more than {MAX_VALUES:,} values")
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _scalar(self, event: yaml.ScalarEvent, keys: Keys) -> Scalar:
        if any(0xD800 <= ord(character) < 0xE000 for character in event.value):
            self._add(event, keys, "holds half of a surrogate pair, which is no character")
            return None
        return plain_scalar(event.value) if event.style is None else event.value

    def _sequence(self, event: yaml.Event, events: Iterator[yaml.Event], keys: Keys) -> Node:
        items: list[Node] = []
        for item in events:
            if isinstance(item, yaml.SequenceEndEvent):
                break
            items.append(self._node(item, events, (*keys, len(items))))
        return Node(self._line(event), items, 1 + sum(item.num_values for item in items))

    def _mapping(self, event: yaml.Event, events: Iterator[yaml.Event], keys: Keys) -> Node:
        entries: dict[str, tuple[int, Node]] = {}
        inherited: list[Node] = []
        for key_event in events:
            if isinstance(key_event, yaml.MappingEndEvent):
                break
            key = self._key(key_event, events, keys)
            value = self._node(next(events), events, (*keys, key))
            if key == "<<" and isinstance(key_event, yaml.ScalarEvent) and key_event.style is None:
                inherited += self._merged(key_event, value, keys)
            elif key in entries:
                self._add(key_event, (*keys, key), f"given twice; line {entries[key][0]} has it already")
            else:
                entries[key] = (self._line(key_event), value)
        for parent in inherited:
            assert isinstance(parent.content, dict)
            entries |= {key: entry for key, entry in parent.content.items() if key not in entries}
        return Node(self._line(event), entries, 1 + sum(node.num_values for _, node in entries.values()))

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event], keys: Keys) -> str:
        """The text of a key, as written: `on` and `1` are no more than their letters."""
        if isinstance(event, yaml.ScalarEvent) and event.tag is None and event.value:
            return event.value
        node = self._node(event, events, keys)
        if isinstance(event, yaml.AliasEvent) and isinstance(node.content, str) and node.content:
            return node.content
        self._add(event, keys, "a key must be a word", value=node.plain())
        return ""

    def _merged(self, event: yaml.Event, value: Node, keys: Keys) -> list[Node]:
        parents = value.content if isinstance(value.content, list) else [value]
        if all(isinstance(parent.content, dict) for parent in parents):
            return parents
        self._add(event, (*keys, "<<"), "must name a mapping or a list of mappings", value=value.plain())
        return []

    def _alias(self, event: yaml.AliasEvent, keys: Keys) -> Node:
        node = self.anchors.get(str(event.anchor))
        if node is not None:
            return node
        self._add(event, keys, f"the alias *{printable(str(event.anchor))} has no anchor above it")
        return Node(self._line(event), None, 1)

    def _line(self, event: yaml.Event) -> int:
        assert event.start_mark is not None
        return event.start_mark.line + 1 if self.fixed_line is None else self.fixed_line

    def _add(self, event: yaml.Event, keys: Keys, rule: str, **value: Any) -> None:
        self.problems.append(Problem(rule=rule, keys=keys, line=self._line(event), **value))

    def _fatal(self, event: yaml.Event, keys: Keys, rule: str) -> SpecError:
        self._add(event, keys[:3], rule)
        return SpecError(self.problems, self.source)


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
