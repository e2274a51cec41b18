"""Reads the lines of a CSV into numbers: all at once where they are clean, else one by one.

The rules are those of `read_line`; `read_lines` gives the same answers, only faster.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.domain.csv_layout import CsvLayout, is_blank, split_line
from shared.domain.rows import RowError

Floats = NDArray[np.float64]

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
# pandas takes a column of these for numbers.
_TRUTH: Final = (b"rue", b"RUE", b"alse", b"ALSE")
_MOST_TEXT: Final = 80


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
    clean = _read_clean(data.replace(b"\r\n", b"\n"), layout, row_count)
    return clean or _read_each(data, layout, first_line)


def _read_clean(data: bytes, layout: CsvLayout, row_count: int) -> Rows | None:
    """Read `data` in one go, or give None when any line of it needs a closer look."""
    plain = b'"' not in data and b"\r" not in data and b"\0" not in data
    if not plain or any(mark in data for mark in _TRUTH) or data.count(b"\n") != row_count:
        # Quotes are simple to pandas as well, but whether they are used well is not.
        return None
    if not _same_width(data, layout):
        return None
    frame = _parse(data, layout)
    if frame is None or len(frame) != row_count:
        return None
    values = frame[list(layout.positions)].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        return None
    ids = None if layout.id_position is None else frame[layout.id_position].tolist()
    return Rows(values=values, ids=ids)


def _same_width(data: bytes, layout: CsvLayout) -> bool:
    # pandas fills short lines and drops the end of long ones without a word.
    characters = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    marks = np.flatnonzero(characters == ord(layout.delimiter))
    expected = np.arange(1, len(ends) + 1) * (layout.width - 1)
    return bool((np.searchsorted(marks, ends) == expected).all())


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


def _read_each(data: bytes, layout: CsvLayout, first_line: int) -> Rows:
    values: list[Sequence[float]] = []
    errors, ids, lines = [], [], []
    for at, raw in enumerate(data.split(b"\n")[:-1]):
        if is_blank(raw):
            continue
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
    numbers = []
    for position in layout.positions:
        flaw = _flaw(fields[position].strip())
        if flaw is not None:
            return blank, (*flaw, layout.column_name(position)), name
        numbers.append(float(fields[position]))
    return numbers, None, name


def _flaw(text: str) -> tuple[str, str] | None:
    if not text:
        return "missing", "The value is missing."
    if _NOT_FINITE.fullmatch(text):
        return "not_finite", "NaN and infinity are not measurements."
    if not _NUMBER.fullmatch(text):
        return "not_a_number", f"{text[:_MOST_TEXT]!r} is not a number."
    if float(text) in {float("inf"), float("-inf")}:
        return "not_finite", "The number is too large for a float64."
    return None
