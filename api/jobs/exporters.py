"""Export results as JSON, NDJSON and CSV, and failed rows as a CSV to fix and resend."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import chain, islice
from typing import Final

import orjson

from api.http.stream_limit import PIECE
from api.jobs.input_rows import Cell, input_rows, original_rows
from api.jobs.result_rows import ResultShape, error_document, failed_offsets, row_documents
from api.schemas.job import ResultRow
from shared.db.queries.results import StoredResult

_NUMBER: Final = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?")
_BATCH_ROWS: Final = 16
_PLAIN_ROWS: Final = 4096
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Stored = Iterable[StoredResult]


def ndjson(results: Stored, shape: ResultShape) -> Iterator[bytes]:
    """Yield one JSON object per line, in pieces of about 64 KiB."""
    for stored in results:
        rows = row_documents(stored, shape)
        yield from in_pieces(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def json_page(
    results: Stored, shape: ResultShape, rows: range, following: str | None
) -> Iterator[bytes]:
    """Yield the JSON page with the row numbers `rows`, in pieces of about 64 KiB.

    `following` is the link to the next page.
    """
    documents = (
        row for stored in results for row in row_documents(stored, shape, rows.start, rows.stop)
    )
    end = orjson.dumps({"next": following, "total": shape.job.rows_tried})
    yield from in_pieces(chain([b'{"results":['], _members(documents), [b"],", end[1:]]))


def _members(rows: Iterator[ResultRow]) -> Iterator[bytes]:
    """Yield `rows` as the elements of a JSON array, a few at a time."""
    comma = b""
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield comma + orjson.dumps(batch)[1:-1]
        comma = b","


def csv_table(results: Stored, shape: ResultShape) -> Iterator[bytes]:
    """Yield a CSV with a header and one line per row, in pieces of about 64 KiB.

    The columns are row, line and id if the job has them, label, p_<class> if requested, error, and
    the features with `include_input`.
    """
    yield from _lines([_header(shape)])
    for stored in results:
        if _is_plain(stored, shape):
            yield from _plain(stored, shape)
        else:
            yield from _lines(_cells(row, shape) for row in row_documents(stored, shape))


def errors_table(results: Stored, shape: ResultShape) -> Iterator[bytes]:
    """Yield a CSV of the failed rows: their position, their error and their original columns.

    The error columns are not features, so the fixed file can be resent unchanged otherwise.
    """
    layout = shape.job.layout
    names: Sequence[str] = layout.names if layout and layout.names else shape.features
    position = "line" if layout else "row"
    yield from _lines([[position, "error_code", "error_field", "error_detail", *names]])
    for stored in results:
        yield from _lines(_failed(stored, shape))


def escape_formula(cell: Cell) -> Cell:
    """Prefix a text cell that a spreadsheet would run as a formula with an apostrophe.

    Numbers are returned unchanged.
    """
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def in_pieces(parts: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """Join `parts` into pieces of at least `size` bytes; only the last may be smaller."""
    buffered: list[bytes] = []
    length = 0
    for part in parts:
        buffered.append(part)
        length += len(part)
        if length >= size:
            yield b"".join(buffered)
            buffered, length = [], 0
    if buffered:
        yield b"".join(buffered)


def _lines(rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    text = StringIO()
    write = csv.writer(text).writerow
    for row in rows:
        write([escape_formula(cell) for cell in row])
        if text.tell() >= PIECE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    if text.tell():
        yield text.getvalue().encode()


def _header(shape: ResultShape) -> list[str]:
    columns = ["row"]
    columns += ["line"] if shape.has_lines else []
    columns += ["id"] if shape.has_ids else []
    columns.append("label")
    if shape.has_probabilities:
        columns += [f"p_{name}" for name in shape.classes]
    columns.append("error")
    return columns + (list(shape.features) if shape.include_input else [])


def _is_plain(stored: StoredResult, shape: ResultShape) -> bool:
    """Return whether the rows of `stored` have only a number, a line and an unquoted label."""
    extras = shape.include_input or shape.has_probabilities or stored.ids is not None
    gaps = stored.errors or stored.labels is None or stored.lines is not None
    quoted = any(
        b"".join(_lines([[name, ""]])) != f"{name},\r\n".encode() for name in shape.classes
    )
    # Without known classes any label may need quotes.
    return bool(shape.classes) and not (extras or gaps or quoted)


def _plain(stored: StoredResult, shape: ResultShape) -> Iterator[bytes]:
    # The common case of a large job without errors, many times faster than row by row.
    line_offset = stored.first_line - stored.first_row
    all_labels = stored.labels or ()
    for start in range(0, stored.row_count, _PLAIN_ROWS):
        labels = all_labels[start : start + _PLAIN_ROWS]
        rows = enumerate(labels, stored.first_row + start)
        if shape.has_lines:
            lines = [f"{at},{at + line_offset},{label},\r\n" for at, label in rows]
        else:
            lines = [f"{at},{label},\r\n" for at, label in rows]
        yield "".join(lines).encode()


def _cells(row: ResultRow, shape: ResultShape) -> list[Cell]:
    cells: list[Cell] = [row["row"]]
    cells += [row["line"]] if shape.has_lines else []
    cells += [row.get("id", "")] if shape.has_ids else []
    cells.append(row.get("label"))
    if shape.has_probabilities:
        values = row.get("probabilities", {})
        cells += [values.get(name) for name in shape.classes]
    error = row.get("error")
    cells.append(f"{error['code']}: {error['detail']}" if error else None)
    return cells + (list(row["input"].values()) if shape.include_input else [])


def _failed(stored: StoredResult, shape: ResultShape) -> Iterator[list[Cell]]:
    layout = shape.job.layout
    offsets = failed_offsets(stored)
    errors = {error.row: error for error in stored.errors}
    for offset, cells in zip(offsets, _original_cells(stored, shape, offsets), strict=True):
        error = error_document(stored, errors.get(offset))
        position = stored.line(offset) if layout else stored.first_row + offset
        yield [position, error["code"], error["field"], error["detail"], *cells]


def _original_cells(
    stored: StoredResult, shape: ResultShape, offsets: Sequence[int]
) -> Iterable[Sequence[Cell]]:
    """Return the original cells of the rows at `offsets`."""
    if stored.input is not None and shape.job.layout is not None:
        return original_rows(stored.input, shape.job.layout, offsets)
    return input_rows(stored, None, shape.features, offsets)
