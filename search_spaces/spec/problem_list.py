"""Collects the problems of a file, each with the line of its key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Protocol

from search_spaces.spec.errors import SpecError
from search_spaces.spec.problems import Keys, Problem, dotted, printable, shown
from search_spaces.spec.yaml_document import Document

_ABSENT: Any = object()
# Where a key of a trial may have been set, nearest to the trial first.
_PLACES_OF_TRIAL_KEYS = ("", "space.", "base.")


class HasDocument(Protocol):
    @property
    def document(self) -> Document | None: ...


class ProblemList:
    """The problems of one document, in the order they were found; without a document they have no lines."""

    def __init__(self, document: Document | None, problems: Iterable[Problem] = ()) -> None:
        self.document = document
        self.problems = list(problems)
        self.keys: list[Keys] = []

    def add(self, keys: Keys, rule: str, *, value: Any = _ABSENT, hint: str | None = None) -> None:
        """Note that the value at `keys` breaks `rule`."""
        self.keys.append(keys)
        problem = Problem(
            file="sweep" if self.document is None else printable(str(self.document.path)),
            line=None if self.document is None else self.document.line(keys),
            key=dotted(keys),
            rule=rule,
            value=None if value is _ABSENT else shown(value),
            hint=hint,
        )
        self.problems.append(problem)

    def has(self, keys: Keys, rule: str) -> bool:
        """Whether this was noted already."""
        return any(problem.key == dotted(keys) and problem.rule == rule for problem in self.problems)

    def raise_any(self) -> None:
        """Raises SpecError with everything found, if anything was."""
        if self.problems:
            raise SpecError(self.problems)


def nearest(word: object, known: Iterable[object]) -> str | None:
    """The known word that `word` was most likely meant to be, if any is near."""
    by_folded = {str(candidate).casefold(): str(candidate) for candidate in known}
    # difflib takes a second for words of a megabyte; nothing that long is a misspelling.
    near = difflib.get_close_matches(str(word)[:100].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def did_you_mean(word: object, known: Iterable[object]) -> str | None:
    """The nearest right spelling as a question, if any is near."""
    near = nearest(word, known)
    return None if near is None else f"did you mean {near}?"


def problem_at(
    source: Document | HasDocument,
    key: str,
    rule: str,
    value: Any = _ABSENT,
    hint: str | None = None,
) -> SpecError:
    """A SpecError for one key of a spec that was read without errors: for checks that need more than the file.

    `key` is dotted as in the file (`base.data`), or a trial's (`data`), then found where the sweep sets it.
    """
    document = source if isinstance(source, Document) else source.document
    values = {} if document is None else document.values
    found = (_keys_of(values, place + key) for place in _PLACES_OF_TRIAL_KEYS)
    keys = next((keys for keys in found if keys is not None), tuple(key.split(".")))
    findings = ProblemList(document)
    findings.add(keys, rule, value=value, hint=hint)
    return SpecError(findings.problems)


def _keys_of(values: Any, key: str) -> Keys | None:
    """The way to a dotted key in nested mappings whose keys may be dotted themselves; None if it is not there."""
    if not isinstance(values, dict):
        return None
    if key in values:
        return (key,)
    for first in values:
        rest = _keys_of(values[first], key[len(first) + 1 :]) if key.startswith(f"{first}.") else None
        if rest is not None:
            return (first, *rest)
    return None
