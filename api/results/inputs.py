"""A chunk's rows as the client sent them."""

import csv
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence

from shared.db.results import StoredInput, StoredResult
from shared.domain.chunks import Encoding
from shared.domain.csv_layout import CsvLayout, is_blank, split_line
from shared.zstd import decompress

Cell = str | float | None


def input_rows(
    stored: StoredResult, layout: CsvLayout | None, features: Sequence[str], part: slice
) -> list[list[Cell]]:
    """Give the values of the rows in `part` by feature: text from a CSV, numbers from JSON.

    A value that is not there, or that belongs to a row refused before it was stored, is None.
    """
    given = stored.input
    if given is None:
        return [[None] * len(features)] * len(range(stored.row_count)[part])
    if layout is None:
        return _numbers(given, len(features))[part]
    return [
        [fields[at] if at < len(fields) else None for at in layout.positions]
        for fields in original_rows(given, layout, range(stored.row_count)[part])
    ]


def original_rows(
    given: StoredInput, layout: CsvLayout, offsets: Iterable[int]
) -> Iterator[list[str]]:
    """Give every field of the rows at `offsets` in a chunk of CSV, as it was written."""
    lines = [line for line in decompress(given.body).split(b"\n") if not is_blank(line)]
    return (_fields(lines[at], layout) for at in offsets)


def _fields(line: bytes, layout: CsvLayout) -> list[str]:
    text = line.decode("utf-8", "replace").removesuffix("\r")
    try:
        return split_line(text, layout.delimiter)
    except csv.Error:
        # A carriage return within the line: it is shown as it is.
        return text.split(layout.delimiter)


def _numbers(given: StoredInput, width: int) -> list[list[Cell]]:
    assert given.encoding is Encoding.FLOAT64  # noqa: S101 - the only one without a layout
    values = array("d")
    values.frombytes(given.body)
    if sys.byteorder == "big":
        values.byteswap()
    known: list[Cell] = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    return [known[at : at + width] for at in range(0, len(known), width)]
