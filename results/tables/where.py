"""The conditions of `frostline ls --where`: a few operators over columns, and nothing else of Python.

`recipe == selective and total_bytes <= 16e6 and model.dim in (64, 96) and not suspect is None`

A condition is parsed to a syntax tree (Python's `ast`), of which only the nodes below are understood; nothing is ever
evaluated by Python. As in SQL, a comparison with a missing value holds for no row.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from results.analysis.objectives import nearest
from results.errors import ResultsError
from results.tables.columns import STRING, TIME, WORD
from results.tables.schema import TRIALS
from results.tables.settings import COLUMN_OF_KEY

MAX_CHARACTERS = 2_000
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "nan": None}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_COMPUTE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}
_TYPES = {column.name: column.type for column in TRIALS}


def column_named(name: str) -> str:
    """The column of a name: `cfg_model_dim`, or the key of a setting, `model.dim`.

    Raises:
        ResultsError: if there is none; it names the nearest one.
    """
    if name in _TYPES:
        return name
    if name in COLUMN_OF_KEY:
        return COLUMN_OF_KEY[name]
    raise ResultsError(f"{name} is no column of the table of trials{nearest(name, [*_TYPES, *COLUMN_OF_KEY])}")


class Where:
    """A condition on rows of the table of trials.

    Raises:
        ResultsError: if the text is no condition, or names an unknown column; it says what is understood.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_CHARACTERS:
            raise ResultsError(f"--where must not be longer than {MAX_CHARACTERS:,} characters, but has {len(text):,}")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._error("is no condition") from None
        try:
            self.columns: Collection[str] = sorted(self._columns(self._tree))
        except RecursionError:
            raise self._error("is nested too deep") from None

    def mask(self, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Which rows of a table with `columns` keep the condition; bool[rows].

        Raises:
            ResultsError: if values are compared that have no order between them, such as text and numbers.
        """
        try:
            found = self._value(self._tree, table)
            if not isinstance(found, pa.Array | pa.ChunkedArray) or found.type != pa.bool_():
                raise self._error("is no condition: compare a column with a value")
            return pc.fill_null(found, False)
        except (
            pa.ArrowInvalid,
            pa.ArrowNotImplementedError,
            pa.ArrowTypeError,
            OverflowError,
            RecursionError,
            TypeError,
        ):
            raise self._error("compares values that cannot be compared, such as text and a number") from None

    def _columns(self, node: ast.expr) -> set[str]:
        """Names of columns, each checked; a word that is compared with a column may stand without quotes."""
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            known = set().union(*(self._columns(side) for side in sides if not self._is_word(side)))
            if not any(_TYPES[name] in (STRING, WORD) for name in known):  # only text is compared with words
                known |= {
                    column_named(side.id) for side in sides if isinstance(side, ast.Name) and side.id not in _WORDS
                }
            return known
        if (name := _dotted(node)) is not None:
            return set() if name in _WORDS else {column_named(name)}
        parts = _parts(node)
        if parts is None:
            raise self._error(f"has a part that is not understood, {ast.unparse(node)[:40]!r}")
        return set().union(*map(self._columns, parts))

    def _is_word(self, node: ast.expr) -> bool:
        if isinstance(node, ast.List | ast.Tuple):
            return all(isinstance(one, ast.Constant) or self._is_word(one) for one in node.elts)
        return isinstance(node, ast.Name) and node.id not in _TYPES and node.id not in COLUMN_OF_KEY

    def _value(self, node: ast.expr, table: pa.Table) -> Any:
        if (name := _dotted(node)) is not None:
            is_column = name in _TYPES or name in COLUMN_OF_KEY
            return _plain(table.column(column_named(name))) if is_column else _WORDS.get(name, name)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self._value(one, table) for one in node.elts]
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, table)
            is_array = isinstance(value, pa.Array | pa.ChunkedArray)
            return pc.invert(value) if isinstance(node.op, ast.Not) else pc.negate(value) if is_array else -value
        if isinstance(node, ast.BinOp):
            left, right = self._value(node.left, table), self._value(node.right, table)
            return _computed(type(node.op), left, right)
        if isinstance(node, ast.BoolOp):
            combine = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
            first, *rest = [self._value(one, table) for one in node.values]
            for one in rest:
                first = combine(first, one)
            return first
        assert isinstance(node, ast.Compare)
        sides = [self._value(one, table) for one in (node.left, *node.comparators)]
        found = None
        for kind, left, right in zip(node.ops, sides, sides[1:], strict=False):
            one = _compared(type(kind), left, right)
            found = one if found is None else pc.and_kleene(found, one)
        return found

    def _error(self, rule: str) -> ResultsError:
        return ResultsError(
            f"--where {self.text[:80]!r} {rule}; write for example: recipe == 'selective' and total_bytes <= 16e6. "
            "Known: == != < <= > >= in, and, or, not, + - * /, `is None`, columns, and keys of settings"
        )


def _dotted(node: ast.expr) -> str | None:
    """`model.dim` of the tree of it; None of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (first := _dotted(node.value)) is not None:
        return f"{first}.{node.attr}"
    return None


def _parts(node: ast.expr) -> list[ast.expr] | None:
    """What a node that is understood consists of; None of any other."""
    if isinstance(node, ast.Constant):
        return [] if node.value is None or isinstance(node.value, str | int | float) else None
    if isinstance(node, ast.List | ast.Tuple):
        return node.elts
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return [node.operand]
    if isinstance(node, ast.BinOp) and type(node.op) in _COMPUTE:
        return [node.left, node.right]
    return node.values if isinstance(node, ast.BoolOp) else None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without dictionaries, and NaN as missing."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(column.type) else column


def _computed(kind: type[ast.operator], left: Any, right: Any) -> Any:
    """In floating point; of numbers alone a number."""
    if any(isinstance(one, str | bool | list | None) for one in (left, right)):
        raise TypeError("no number")
    sides = [
        one.cast(pa.float64()) if isinstance(one, pa.ChunkedArray) else pa.scalar(float(one)) for one in (left, right)
    ]
    found = _COMPUTE[kind](*sides)
    return found.as_py() if isinstance(found, pa.Scalar) else found


def _compared(kind: type[ast.cmpop], left: Any, right: Any) -> Any:
    if not any(isinstance(one, pa.Array | pa.ChunkedArray) for one in (left, right)):
        raise TypeError("no column")
    if kind in (ast.In, ast.NotIn):
        if not isinstance(right, list):
            raise TypeError("no list")
        found = pc.is_in(left, pa.array([_matching(one, left.type) for one in right], left.type))
        if None not in right:
            found = pc.if_else(pc.is_valid(left), found, None)
        return found if kind is ast.In else pc.invert(found)
    if left is None or right is None:
        return _of_missing(kind, right if left is None else left)
    if kind not in _COMPARE:
        raise TypeError("no comparison of values")
    if isinstance(left, pa.ChunkedArray) and not isinstance(right, pa.ChunkedArray):
        right = _scalar(right, left.type)
    elif isinstance(right, pa.ChunkedArray) and not isinstance(left, pa.ChunkedArray):
        left = _scalar(left, right.type)
    return _COMPARE[kind](left, right)


def _of_missing(kind: type[ast.cmpop], column: Any) -> Any:
    """`is None`, `== None` and the opposites."""
    if kind not in (ast.Is, ast.IsNot, ast.Eq, ast.NotEq):
        raise TypeError("None has no order")
    return pc.is_null(column) if kind in (ast.Is, ast.Eq) else pc.is_valid(column)


def _scalar(value: Any, type_: pa.DataType) -> Any:
    value = _matching(value, type_)
    return value if isinstance(value, float) and pa.types.is_integer(type_) else pa.scalar(value, type_)


def _matching(value: Any, type_: pa.DataType) -> Any:
    """A value as it can stand beside a column; TypeError where it cannot."""
    if value is None:
        return None
    if type_ == TIME and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise TypeError("no time") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {pa.string(): isinstance(value, str), pa.bool_(): isinstance(value, bool)}
    if not fits.get(type_, is_number):
        raise TypeError("another type")
    if pa.types.is_integer(type_) and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
