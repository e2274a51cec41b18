"""Rows of numbers as they travel: read from JSON, checked one by one, packed as float64."""

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


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
        """Give the errors of rows `first` to `last` - 1, counted from `first`."""
        return tuple(
            replace(error, row=error.row - first)
            for error in self.errors
            if first <= error.row < last
        )


class _Flaw(Exception):
    """What is wrong with a value or a row."""

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        self.code, self.detail, self.field = code, detail, field


def pack(instances: Sequence[object], columns: Mapping[str, int]) -> PackedRows:
    """Check each of `instances` (a list of numbers, or an object by feature name) and pack them.

    `columns` maps every accepted spelling of a feature, in lower case, to its position; the
    number of features is the number of distinct positions.
    """
    width = len(set(columns.values()))
    blank = [math.nan] * width
    values = array("d")
    errors = []
    for row, instance in enumerate(instances):
        try:
            values.extend(_numbers(instance, columns, width))
        except _Flaw as flaw:
            values.extend(blank)
            errors.append(RowError(row=row, code=flaw.code, detail=flaw.detail, field=flaw.field))
    if sys.byteorder == "big":
        values.byteswap()
    return PackedRows(body=values.tobytes(), count=len(instances), errors=tuple(errors))


def _numbers(instance: object, columns: Mapping[str, int], width: int) -> Iterable[float]:
    if isinstance(instance, dict):
        return _from_object(instance, columns, width)
    if not isinstance(instance, list):
        raise _Flaw("not_a_row", f"A row is a list of {width} numbers, or an object by name.")
    if not instance:
        raise _Flaw("empty", "The row is empty.")
    if len(instance) != width:
        few_or_many = "too_few_fields" if len(instance) < width else "too_many_fields"
        raise _Flaw(few_or_many, f"The row has {len(instance)} values; the model takes {width}.")
    return [_number(value, str(index)) for index, value in enumerate(instance)]


def _from_object(
    instance: Mapping[str, object], columns: Mapping[str, int], width: int
) -> Iterable[float]:
    numbers: list[float | None] = [None] * width
    for name, value in instance.items():
        position = columns.get(name.strip().lower())
        if position is None:
            raise _Flaw("unknown_field", f"The model has no feature {name[:80]!r}.", name[:80])
        if numbers[position] is not None:
            raise _Flaw("repeated_field", f"The feature {name[:80]!r} is given twice.", name[:80])
        numbers[position] = _number(value, name[:80])
    found = [number for number in numbers if number is not None]
    if len(found) < width:
        missing = _names_of({i for i, number in enumerate(numbers) if number is None}, columns)
        raise _Flaw("too_few_fields", f"Missing: {', '.join(missing)}.", missing[0])
    return found


def _names_of(positions: set[int], columns: Mapping[str, int]) -> list[str]:
    first: dict[int, str] = {}
    for name, position in columns.items():
        if position in positions:
            first.setdefault(position, name)
    return [first[position] for position in sorted(positions)]


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
    return kinds.get(type(value), "this")
