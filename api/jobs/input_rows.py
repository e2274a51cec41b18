"""Read the input rows of a chunk as the client sent them."""

import csv
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from typing import Literal

from shared.db.queries.results import StoredInput, StoredResult
from shared.domain.chunks import Encoding
from shared.domain.csv_layout import CsvLayout, is_blank, split_line
from shared.zstd import ZstdFile

Cell = str | float | None


def input_rows(
    stored: StoredResult,
    layout: CsvLayout | None,
    features: Sequence[str],
    offsets: Sequence[int],
) -> Iterator[list[Cell]]:
    """Yield the features of the rows at `offsets`: text from a CSV, numbers from JSON.

    A missing value, or one of a row that was refused before it was stored, is None. `offsets` are
    in order. One row at a time is decoded.
    """
    given = stored.input
    if given is None:
        return ([None] * len(features) for _ in offsets)
    if layout is None:
        return _numbers(given, len(features), offsets)
    return (
        [fields[at] if at < len(fields) else None for at in layout.positions]
        for fields in original_rows(given, layout, offsets)
    )


def as_numbers(data: bytes, code: Literal["d", "f"]) -> Sequence[float]:
    """Return little-endian floats of 8 or 4 bytes, without a copy on little-endian machines."""
    if sys.byteorder == "little":
        return memoryview(data).cast(code)
    swapped = array(code, data)
    swapped.byteswap()
    return swapped


def original_rows(
    given: StoredInput, layout: CsvLayout, offsets: Iterable[int]
) -> Iterator[list[str]]:
    """Yield the unparsed fields of the rows at `offsets`, in order, of a chunk of CSV."""
    lines = (line for line in ZstdFile(BytesIO(given.body)) if not is_blank(line))
    following = 0
    for at in offsets:
        line = next(islice(lines, at - following, None))
        following = at + 1
        yield _fields(line, layout)


def _fields(line: bytes, layout: CsvLayout) -> list[str]:
    text = line.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
    try:
        return split_line(text, layout.delimiter)
    except csv.Error:
        # A carriage return within the line is kept.
        return text.split(layout.delimiter)


def _numbers(given: StoredInput, width: int, offsets: Iterable[int]) -> Iterator[list[Cell]]:
    assert given.encoding is Encoding.FLOAT64  # noqa: S101 - the only one without a layout
    values = as_numbers(given.body, "d")
    for at in offsets:
        row = values[at * width : (at + 1) * width]
        yield [None if value != value else value for value in row]  # noqa: PLR0124 - NaN
