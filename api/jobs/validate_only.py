"""Dry runs: validate rows without creating a job; nothing is stored."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from api.jobs.csv_chunker import ChunkLimits, CsvSlice
from api.jobs.submit_csv import open_csv
from api.jobs.submit_rows import parse_instances
from api.schemas.job import ModelVersion
from api.schemas.job_options import CsvOptions, JobOptions, JsonJob, ReadOptions
from shared.domain.csv_layout import CsvLayout, iter_rows
from shared.domain.csv_lines import has_other_width, read_line
from shared.domain.errors import RequestInvalid

_MAX_ERRORS: Final = 100
_PIECE: Final = 1 << 16
_PAUSE_ROWS: Final = 500
"""Bytes that are buffered, and rows that are read before yielding to other requests."""


class InvalidRow(TypedDict):
    """A row that cannot be used, and why."""

    row: int
    line: NotRequired[int]
    code: str
    field: str | None
    detail: str


_UNREPORTED: Final = InvalidRow(row=0, code="", field=None, detail="")


class Column(TypedDict):
    """The column of a feature: its position from 0, and its name if the file has a header."""

    feature: str
    position: int
    name: str | None


class ValidationReport(TypedDict):
    """The validation result of rows that were sent with `validate_only`.

    Rows that only the model itself can refuse (`not_predictable`) count as usable.
    """

    model: ModelVersion
    rows: int
    usable_rows: int
    errors: Annotated[list[InvalidRow], Field(max_length=_MAX_ERRORS)]
    errors_truncated: bool
    warnings: list[str]
    columns: list[Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateRows:
    """Validate the rows of a JSON job, at most `instances`."""

    read_options: ReadOptions
    instances: int

    def __call__(self, document: Mapping[str, Any]) -> ValidationReport:
        """Return a report on `document`. Raise `RequestInvalid` or `BodyTooLarge` as a job does."""
        options = self.read_options(JsonJob, document)
        rows = parse_instances(options, self.instances)
        invalid = [
            InvalidRow(row=error.row, code=error.code, field=error.field, detail=error.detail)
            for error in rows.errors[:_MAX_ERRORS]
        ]
        return _report(options, rows.count, len(rows.errors), invalid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateCsv:
    """Validate the lines of a CSV within `chunk_limits`."""

    read_options: ReadOptions
    chunk_limits: ChunkLimits

    def __call__(self, document: Mapping[str, Any], stream: Iterator[bytes]) -> ValidationReport:
        """Return a report on `stream`. Raise the errors that a job would raise.

        One piece of the file at a time is in memory.
        """
        options = self.read_options(CsvOptions, document)
        limits = replace(self.chunk_limits, piece_bytes=_PIECE)
        header, pieces = open_csv(options.model, stream, limits)
        rows = failed = 0
        invalid: list[InvalidRow] = []
        for error in _row_errors(pieces, header.layout):
            if error is not None:
                failed += 1
                if len(invalid) < _MAX_ERRORS:
                    invalid.append({**error, "row": rows})
            rows += 1
        if not rows:
            raise RequestInvalid("The CSV has no rows.")
        report = _report(options, rows, failed, invalid)
        layout = header.layout
        report["warnings"] = list(header.warnings)
        for column, position in zip(report["columns"], layout.positions, strict=True):
            column["position"] = position
            column["name"] = layout.names[position] if layout.names else None
        return report


def _row_errors(pieces: Iterable[CsvSlice], layout: CsvLayout) -> Iterator[InvalidRow | None]:
    """Yield the error of each row, or None; the caller sets the row number."""
    found = 0
    for line, raw in _rows(pieces):
        if found >= _MAX_ERRORS and has_other_width(raw, layout):
            # Counted but not reported: there may be millions.
            yield _UNREPORTED
            continue
        _, error, _ = read_line(raw.decode("utf-8", "replace").removesuffix("\r"), layout)
        if error is None:
            yield None
        else:
            code, detail, field = error
            found += 1
            yield InvalidRow(row=0, line=line, code=code, field=field, detail=detail)


def _rows(pieces: Iterable[CsvSlice]) -> Iterator[tuple[int, bytes]]:
    """Yield each row with its line in the file; yield to other requests meanwhile."""
    for piece in pieces:
        for done, (at, raw) in enumerate(iter_rows(piece.data) if piece.row_count else ()):
            if done % _PAUSE_ROWS == 0:
                time.sleep(0)
            yield piece.first_line + at, raw


def _report(
    options: JobOptions, rows: int, failed: int, invalid: list[InvalidRow]
) -> ValidationReport:
    model = options.model
    return {
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "rows": rows,
        "usable_rows": rows - failed,
        "errors": invalid,
        "errors_truncated": failed > _MAX_ERRORS,
        "warnings": [],
        "columns": [
            {"feature": feature.name, "position": at, "name": None}
            for at, feature in enumerate(model.features)
        ],
    }
