"""Says what is wrong with rows, and makes no job of them: nothing is stored, nobody is asked."""

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
"""Bytes that are held, and rows that are read before other requests get a turn."""


class InvalidRow(TypedDict):
    """Why a row cannot be used."""

    row: int
    line: NotRequired[int]
    code: str
    field: str | None
    detail: str


_UNSEEN: Final = InvalidRow(row=0, code="", field=None, detail="")


class Column(TypedDict):
    """Where a feature is found: from 0, and by which name if there are names."""

    feature: str
    position: int
    name: str | None


class ValidationReport(TypedDict):
    """What became of the rows, had they been sent as a job.

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
    """Looks at the rows of a JSON job, of which there may be `instances`."""

    read_options: ReadOptions
    instances: int

    def __call__(self, document: Mapping[str, Any]) -> ValidationReport:
        """Report on `document`. Raises `RequestInvalid` and `BodyTooLarge` as a job would."""
        options = self.read_options(JsonJob, document)
        rows = parse_instances(options, self.instances)
        flaws = [
            InvalidRow(row=error.row, code=error.code, field=error.field, detail=error.detail)
            for error in rows.errors[:_MAX_ERRORS]
        ]
        return _report(options, rows.count, len(rows.errors), flaws)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateCsv:
    """Looks at the lines of a CSV, within the limits of `cut`."""

    read_options: ReadOptions
    cut: ChunkLimits

    def __call__(self, document: Mapping[str, Any], stream: Iterator[bytes]) -> ValidationReport:
        """Report on `stream`, of which one piece is held at a time. Raises what a job would."""
        options = self.read_options(CsvOptions, document)
        cut = replace(self.cut, piece_bytes=_PIECE)
        header, pieces = open_csv(options.model, stream, cut)
        rows = failed = 0
        flaws: list[InvalidRow] = []
        for flaw in _flaws(pieces, header.layout):
            if flaw is not None:
                failed += 1
                if len(flaws) < _MAX_ERRORS:
                    flaws.append({**flaw, "row": rows})
            rows += 1
        if not rows:
            raise RequestInvalid("The CSV has no rows.")
        report = _report(options, rows, failed, flaws)
        layout = header.layout
        report["warnings"] = list(header.warnings)
        for column, position in zip(report["columns"], layout.positions, strict=True):
            column["position"] = position
            column["name"] = layout.names[position] if layout.names else None
        return report


def _flaws(pieces: Iterable[CsvSlice], layout: CsvLayout) -> Iterator[InvalidRow | None]:
    """Return the error of each row, or None; the row number is set by the caller."""
    found = 0
    for line, raw in _rows(pieces):
        if found >= _MAX_ERRORS and has_other_width(raw, layout):
            # Nobody will see more of it, and there may be millions.
            yield _UNSEEN
            continue
        _, error, _ = read_line(raw.decode("utf-8", "replace").removesuffix("\r"), layout)
        if error is None:
            yield None
        else:
            code, detail, field = error
            found += 1
            yield InvalidRow(row=0, line=line, code=code, field=field, detail=detail)


def _rows(pieces: Iterable[CsvSlice]) -> Iterator[tuple[int, bytes]]:
    """Yield each row with its line in the file; other requests get a turn meanwhile."""
    for piece in pieces:
        for done, (at, raw) in enumerate(iter_rows(piece.data) if piece.row_count else ()):
            if done % _PAUSE_ROWS == 0:
                time.sleep(0)
            yield piece.first_line + at, raw


def _report(
    options: JobOptions, rows: int, failed: int, flaws: list[InvalidRow]
) -> ValidationReport:
    model = options.model
    return {
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "rows": rows,
        "usable_rows": rows - failed,
        "errors": flaws,
        "errors_truncated": failed > _MAX_ERRORS,
        "warnings": [],
        "columns": [
            {"feature": feature.name, "position": at, "name": None}
            for at, feature in enumerate(model.features)
        ],
    }
