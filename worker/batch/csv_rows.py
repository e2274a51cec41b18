"""Reads the lines of a CSV into numbers: all at once where they are clean, else one by one.

The rules are those of `read_line`; `read_lines` gives the same answers, only faster.
"""

import codecs
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.domain.csv_layout import CsvLayout, iter_rows
from shared.domain.csv_lines import PARSE_ERRORS, read_line
from shared.domain.numerals import is_number
from shared.domain.rows import RowError

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

# pandas takes longer to begin than so many lines take one by one.
_FEW: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What some lines of a CSV hold.

    `values` is rows × features, all NaN in the rows named in `errors`. `ids` and `lines` are None
    where the CSV has no ids, and where the lines simply follow one another.
    """

    values: Floats
    errors: tuple[RowError, ...] = ()
    ids: list[str] | None = None
    lines: list[int] | None = None


def read_lines(data: bytes, layout: CsvLayout, row_count: int, first_line: int) -> Rows:
    """Read `data`, whole lines of which `row_count` are not blank, the first at `first_line`."""
    clean = None
    if row_count > _FEW:
        try:
            clean = read_clean(data, layout, row_count)
        except PARSE_ERRORS:
            # The rows are right all the same, only later.
            log.exception("fast_reader_failed", extra={"rows": row_count})
    return clean or read_each(data, layout, first_line)


def read_clean(data: bytes, layout: CsvLayout, row_count: int) -> Rows | None:
    """Read `data` in one go, or give None when any line of it needs a closer look."""
    # Each pass over the bytes shows in the time of a row: most files have none of these.
    text = data.replace(b"\r\n", b"\n") if b"\r" in data else data
    quoteless = _without_quotes(text, layout.delimiter)
    if quoteless is None or b"\r" in quoteless or b"\0" in quoteless:
        return None
    text = quoteless
    if not (_same_width(text, layout, row_count) and _begins_with_numbers(text, layout)):
        return None
    if b"+" in text and text.count(b"+") != text.count(b"e+") + text.count(b"E+"):
        # pandas reads some numbers that begin with a plus wrong by the last bit.
        return None
    frame = _parse(text, layout)
    if frame is None or len(frame) != row_count:
        return None
    values = frame[list(layout.positions)].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        return None
    ids = None if layout.id_position is None else frame[layout.id_position].tolist()
    return Rows(values=values, ids=ids)


def _without_quotes(data: bytes, delimiter: str) -> bytes | None:
    """Take quotes off that change nothing; None when any of them does."""
    if b'"' not in data:
        return data
    return data.replace(b'"', b"") if _idly_quoted(delimiter).fullmatch(data) else None


@cache
def _idly_quoted(delimiter: str) -> re.Pattern[bytes]:
    """Match lines in which quotes only surround whole fields that would do without."""
    mark = re.escape(delimiter.encode())
    plain = rb'[^"\n' + mark + rb"]*+"
    field = rb'(?:"' + plain + rb'"|' + plain + rb")"
    return re.compile(rb"(?:" + field + rb"(?:" + mark + field + rb")*+\n)*+")


def _same_width(data: bytes, layout: CsvLayout, row_count: int) -> bool:
    """Return whether `data` has `row_count` lines of as many fields as the header."""
    # pandas fills short lines and drops the end of long ones without a word.
    characters = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    marks = np.flatnonzero(characters == ord(layout.delimiter))
    each = layout.width - 1
    if len(ends) != row_count or len(marks) != row_count * each:
        return False
    if not each:
        return True
    # Line by line: its first mark comes after the end before it, and its last before its own end.
    return bool((marks[each - 1 :: each] < ends).all() and (marks[each::each] > ends[:-1]).all())


def _begins_with_numbers(data: bytes, layout: CsvLayout) -> bool:
    # pandas takes a column for numbers in which every cell is "true" or "false", and takes a byte
    # order mark off.
    if data.startswith(codecs.BOM_UTF8):
        return False
    fields = data[: data.index(b"\n")].decode("utf-8", "replace").split(layout.delimiter)
    return all(is_number(fields[at]) for at in layout.positions)


def _parse(data: bytes, layout: CsvLayout) -> pd.DataFrame | None:
    kinds: dict[int, type] = dict.fromkeys(layout.positions, np.float64)
    if layout.id_position is not None:
        kinds[layout.id_position] = str
    try:
        return pd.read_csv(
            BytesIO(data),
            header=None,
            names=list(range(layout.width)),
            usecols=list(kinds),
            dtype=kinds,
            sep=layout.delimiter,
            na_filter=False,
            low_memory=False,
            engine="c",
        )
    except (ValueError, pd.errors.ParserError):
        return None


def read_each(data: bytes, layout: CsvLayout, first_line: int) -> Rows:
    """Read `data` line by line: what `read_lines` must give, much more slowly."""
    values: list[Sequence[float]] = []
    errors, ids, lines = [], [], []
    for at, raw in iter_rows(data):
        text = raw.decode("utf-8", "replace").removesuffix("\r")
        row, error, name = read_line(text, layout)
        if error is not None:
            code, detail, field = error
            errors.append(
                RowError(
                    row=len(values), line=first_line + at, code=code, detail=detail, field=field
                )
            )
        values.append(row)
        ids.append(name)
        lines.append(first_line + at)
    return Rows(
        values=np.array(values, dtype=np.float64).reshape(len(values), len(layout.positions)),
        errors=tuple(errors),
        ids=None if layout.id_position is None else ids,
        lines=None if lines == list(range(first_line, first_line + len(lines))) else lines,
    )
