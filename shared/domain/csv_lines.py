"""What one line of a CSV holds: the rule for every reader of lines, fast or slow."""

import csv
import math
import re
from collections.abc import Sequence
from typing import Final

from shared.domain.csv_layout import CsvLayout, split_line

NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_MOST_TEXT: Final = 40

_Error = tuple[str, str, str | None]


def read_line(text: str, layout: CsvLayout) -> tuple[Sequence[float], _Error | None, str]:
    """Read one line: its numbers in the model's order, what is wrong with it, and its id.

    The numbers are all NaN when anything is wrong; the error is (code, detail, column).
    """
    blank = [float("nan")] * len(layout.positions)
    name = ""
    try:
        fields = split_line(text, layout.delimiter)
    except csv.Error:
        return blank, ("malformed", "The line holds a carriage return before its end.", None), name
    if layout.id_position is not None and layout.id_position < len(fields):
        name = fields[layout.id_position]
    if len(fields) != layout.width:
        few_or_many = "too_few_fields" if len(fields) < layout.width else "too_many_fields"
        detail = f"The line has {len(fields)} fields; the header has {layout.width}."
        return blank, (few_or_many, detail, None), name
    texts = [fields[position] for position in layout.positions]
    numbers = _numbers(texts)
    if numbers is not None:
        return numbers, None, name
    for position in layout.positions:
        flaw = _flaw(fields[position].strip())
        if flaw is not None:
            return blank, (*flaw, layout.column_name(position)), name
    return list(map(float, texts)), None, name


def _numbers(texts: Sequence[str]) -> list[float] | None:
    """Read what is surely free of flaws, without looking at each text for every one of them."""
    together = "".join(texts)
    # What else Python takes for a number, but `NUMBER` does not.
    if not together.isascii() or "_" in together:
        return None
    try:
        numbers = list(map(float, texts))
    except ValueError:
        return None
    return numbers if math.isfinite(sum(numbers)) else None


def _flaw(text: str) -> tuple[str, str] | None:
    if not text:
        return "missing", "The value is missing."
    if _NOT_FINITE.fullmatch(text):
        return "not_finite", "NaN and infinity are not measurements."
    if not NUMBER.fullmatch(text):
        point = " Write decimals with a point." if _DECIMAL_COMMA.fullmatch(text) else ""
        return "not_a_number", f"{text[:_MOST_TEXT]!r} is not a number.{point}"
    if float(text) in {float("inf"), float("-inf")}:
        return "not_finite", "The number is too large for a float64."
    return None
