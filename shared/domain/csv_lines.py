"""What one line of a CSV holds: the rule for every reader of lines, fast or slow."""

import csv
from collections.abc import Sequence
from typing import Final

from shared.domain.csv_layout import CsvLayout, split_line
from shared.domain.numerals import number_error, parse_number, parse_numbers

PARSE_ERRORS: Final = (ArithmeticError, LookupError, TypeError, ValueError)
"""What a parser may raise by mistake; no memory or no time left is not the fault of a line."""

_Error = tuple[str, str, str | None]


def read_line(text: str, layout: CsvLayout) -> tuple[Sequence[float], _Error | None, str]:
    """Read one line: its numbers in the model's order, what is wrong with it, and its id.

    The numbers are all NaN when anything is wrong; the error is (code, detail, column). Whatever
    the line holds, no exception leaves this function: it is an error of this line alone.
    """
    try:
        return _read_fields(split_line(text, layout.delimiter), layout)
    except csv.Error:
        detail = "The line holds a carriage return before its end."
    except PARSE_ERRORS:
        detail = "The line cannot be read."
    return _invalid(layout, "", ("malformed", detail, None))


def has_other_width(line: bytes, layout: CsvLayout) -> bool:
    """Return whether `line` surely has more or fewer fields than the header, at little cost."""
    marks = line.count(layout.delimiter.encode())
    # A quoted field may hold some of them, so that there may be fewer fields, but never more.
    return marks < layout.width - 1 or (marks > layout.width - 1 and b'"' not in line)


def _read_fields(
    fields: Sequence[str], layout: CsvLayout
) -> tuple[Sequence[float], _Error | None, str]:
    name = ""
    if layout.id_position is not None and layout.id_position < len(fields):
        name = fields[layout.id_position]
    if len(fields) != layout.width:
        few_or_many = "too_few_fields" if len(fields) < layout.width else "too_many_fields"
        counted = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        first = "the header" if layout.names else "the first line"
        detail = f"The line has {counted}; {first} has {layout.width}."
        return _invalid(layout, name, (few_or_many, detail, None))
    texts = [fields[position] for position in layout.positions]
    numbers = parse_numbers(texts)
    if numbers is not None:
        return numbers, None, name
    for position, cell in zip(layout.positions, texts, strict=True):
        error = number_error(cell)
        if error is not None:
            return _invalid(layout, name, (*error, layout.column_name(position)))
    return list(map(parse_number, texts)), None, name


def _invalid(
    layout: CsvLayout, name: str, error: _Error
) -> tuple[Sequence[float], _Error | None, str]:
    return [float("nan")] * len(layout.positions), error, name
