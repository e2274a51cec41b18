"""Rows of numbers as they travel: read from JSON, checked one by one, packed as float64."""

import math
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.numerals import WHITESPACE

_PAUSE_ROWS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """Why one row has no label. `row` counts from 0 within its chunk; `line` is that of the CSV."""

    row: int
    code: str
    detail: str
    field: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRows:
    """Rows ready for a worker.

    `body` holds n × features float64 values, little-endian, row by row; the rows named in
    `errors` are filled with NaN there and never reach a model.
    """

    body: bytes
    count: int
    errors: tuple[RowError, ...]

    def errors_within(self, first: int, last: int) -> tuple[RowError, ...]:
        """Return the errors of rows `first` to `last` - 1, counted from `first`."""
        start, end = (bisect_left(self.errors, row, key=_row_of) for row in (first, last))
        return tuple(replace(error, row=error.row - first) for error in self.errors[start:end])


def _row_of(error: RowError) -> int:
    return error.row


class _Flaw(Exception):
    """What is wrong with a value or a row."""

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        self.code, self.detail, self.field = code, detail, field


def pack(
    instances: Sequence[object],
    columns: Mapping[str, int],
    names: Sequence[str],
    pause: Callable[[], object] = lambda: None,
) -> PackedRows:
    """Check each of `instances` (a list of numbers, or an object by feature name) and pack them.

    `columns` maps every accepted spelling of a feature, in lower case, to its position; `names`
    are the features in the model's order. `pause` is called now and then, for a server that has
    others to serve meanwhile.
    """
    width = len(names)
    blank = [math.nan] * width
    values = array("d")
    errors = []
    for row, instance in enumerate(instances):
        if row % _PAUSE_ROWS == 0:
            pause()
        try:
            values.extend(_numbers(instance, columns, names))
        except _Flaw as flaw:
            values.extend(blank)
            errors.append(RowError(row=row, code=flaw.code, detail=flaw.detail, field=flaw.field))
    if sys.byteorder == "big":
        values.byteswap()
    return PackedRows(body=values.tobytes(), count=len(instances), errors=tuple(errors))


def _numbers(instance: object, columns: Mapping[str, int], names: Sequence[str]) -> Iterable[float]:
    width = len(names)
    if isinstance(instance, dict):
        return _from_object(instance, columns, names)
    if not isinstance(instance, list):
        raise _Flaw("not_a_row", f"A row is a list of {width} numbers, or an object by name.")
    if not instance:
        raise _Flaw("empty", "The row is empty.")
    if len(instance) != width:
        few_or_many = "too_few_fields" if len(instance) < width else "too_many_fields"
        counted = "1 value" if len(instance) == 1 else f"{len(instance)} values"
        raise _Flaw(few_or_many, f"The row has {counted}; the model takes {width}.")
    return [_number(value, str(index)) for index, value in enumerate(instance)]


def _from_object(
    instance: Mapping[str, object], columns: Mapping[str, int], names: Sequence[str]
) -> Iterable[float]:
    numbers: list[float | None] = [None] * len(names)
    for name, value in instance.items():
        position = columns.get(name.strip(WHITESPACE).lower())
        if position is None:
            raise _Flaw("unknown_field", f"The model has no feature {name[:80]!r}.", name[:80])
        if numbers[position] is not None:
            raise _Flaw("repeated_field", f"The feature {name[:80]!r} is given twice.", name[:80])
        numbers[position] = _number(value, name[:80])
    found = [number for number in numbers if number is not None]
    if len(found) < len(names):
        missing = [name for name, number in zip(names, numbers, strict=True) if number is None]
        raise _Flaw("too_few_fields", f"Missing: {', '.join(missing)}.", missing[0])
    return found


def _number(value: object, field: str) -> float:
    # bool is an int to Python, but a client that sends `true` for a length made a mistake.
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise _Flaw("not_finite", "NaN and infinity are not measurements.", field)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _Flaw("not_finite", "The number is too large for a float64.", field) from None
    if value is None:
        raise _Flaw("missing", "The value is null.", field)
    raise _Flaw("not_a_number", f"A number is needed, not {_kind(value)}.", field)


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", str: "text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "another value")
