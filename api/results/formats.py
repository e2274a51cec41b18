"""Results written as NDJSON and as CSV, and the failed rows as a CSV to mend."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Final

import orjson

from api.documents import ResultRow
from api.results.inputs import Cell, input_rows, original_rows
from api.results.rows import ResultShape, error_document, failed_offsets, row_documents
from shared.db.results import StoredResult

_NUMBER: Final = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Stored = Iterable[StoredResult]


def ndjson(results: Stored, shape: ResultShape) -> Iterator[bytes]:
    """Write one JSON object a line, a chunk at a time."""
    for stored in results:
        yield b"".join(
            orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            for row in row_documents(stored, shape)
        )


def csv_table(results: Stored, shape: ResultShape) -> Iterator[bytes]:
    """Write a header and one line a row, a chunk at a time.

    The columns are row, line and id where the job has them, label, p_<class> where asked for,
    error, and the features with `include_input`.
    """
    yield _lines([_header(shape)])
    for stored in results:
        if _is_plain(stored, shape):
            yield _plain(stored, shape)
        else:
            yield _lines(_cells(row, shape) for row in row_documents(stored, shape))


def errors_table(results: Stored, shape: ResultShape) -> Iterator[bytes]:
    """Write only the failed rows: where they stand, why they failed, and their own columns.

    The columns that say why are no features, so the mended table can be sent again as it is.
    """
    layout = shape.job.layout
    names: Sequence[str] = layout.names if layout and layout.names else shape.features
    where = "line" if layout else "row"
    yield _lines([[where, "error_code", "error_field", "error_detail", *names]])
    for stored in results:
        yield _lines(_failed(stored, shape))


def safe(cell: Cell) -> Cell:
    """Keep a spreadsheet from running a text cell as a formula: an apostrophe goes before it.

    Numbers stay as they are.
    """
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    text = StringIO()
    csv.writer(text).writerows([safe(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _header(shape: ResultShape) -> list[str]:
    columns = ["row"]
    columns += ["line"] if shape.has_lines else []
    columns += ["id"] if shape.has_ids else []
    columns.append("label")
    if shape.has_probabilities:
        columns += [f"p_{name}" for name in shape.manifest.classes]
    columns.append("error")
    return columns + (shape.features if shape.include_input else [])


def _is_plain(stored: StoredResult, shape: ResultShape) -> bool:
    """Say whether every row of `stored` is only a number, a line and a label."""
    extras = shape.include_input or shape.has_probabilities or stored.ids is not None
    gaps = stored.errors or stored.labels is None or stored.lines is not None
    quoted = any(_lines([[name, ""]]) != f"{name},\r\n".encode() for name in shape.manifest.classes)
    return not (extras or gaps or quoted)


def _plain(stored: StoredResult, shape: ResultShape) -> bytes:
    # The case of a large job without trouble, many times faster than row by row.
    rows = range(stored.first_row, stored.first_row + stored.row_count)
    labels = stored.labels or ()
    if not shape.has_lines:
        return "".join(
            [f"{at},{label},\r\n" for at, label in zip(rows, labels, strict=True)]
        ).encode()
    gap = stored.first_line - stored.first_row
    return "".join(
        [f"{at},{at + gap},{label},\r\n" for at, label in zip(rows, labels, strict=True)]
    ).encode()


def _cells(row: ResultRow, shape: ResultShape) -> list[Cell]:
    cells: list[Cell] = [row["row"]]
    cells += [row["line"]] if shape.has_lines else []
    cells += [row.get("id", "")] if shape.has_ids else []
    cells.append(row.get("label"))
    if shape.has_probabilities:
        chances = row.get("probabilities", {})
        cells += [chances.get(name) for name in shape.manifest.classes]
    error = row.get("error")
    cells.append(f"{error['code']}: {error['detail']}" if error else None)
    return cells + (list(row["input"].values()) if shape.include_input else [])


def _failed(stored: StoredResult, shape: ResultShape) -> Iterator[list[Cell]]:
    layout = shape.job.layout
    offsets = failed_offsets(stored)
    errors = {error.row: error for error in stored.errors}
    for offset, cells in zip(offsets, _own(stored, shape, offsets), strict=True):
        error = error_document(stored, errors.get(offset))
        where = stored.line(offset) if layout else stored.first_row + offset
        yield [where, error["code"], error["field"], error["detail"], *cells]


def _own(
    stored: StoredResult, shape: ResultShape, offsets: Sequence[int]
) -> Iterable[Sequence[Cell]]:
    """Give the columns that the rows at `offsets` came with."""
    if stored.input is not None and shape.job.layout is not None:
        return original_rows(stored.input, shape.job.layout, offsets)
    every = input_rows(stored, None, shape.features, slice(None))
    return [every[offset] for offset in offsets]
