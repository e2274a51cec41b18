"""Says what is wrong with rows, and makes no job of them: nothing is stored, nobody is asked."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from api.csv.cut import CutLimits, Piece
from api.csv.receive import open_csv
from api.documents import ModelVersion
from api.options import CsvOptions, JobOptions, JsonJob, ReadOptions
from api.submit import read_instances
from shared.domain.csv_layout import CsvLayout, is_blank
from shared.domain.csv_lines import read_line
from shared.domain.errors import RequestInvalid

_MOST_ERRORS: Final = 100
_PIECE: Final = 1 << 16
"""Bytes that are read before other requests have a turn."""


class RowFlaw(TypedDict):
    """Why a row cannot be used."""

    row: int
    line: NotRequired[int]
    code: str
    field: str | None
    detail: str


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
    errors: Annotated[list[RowFlaw], Field(max_length=_MOST_ERRORS)]
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
        rows = read_instances(options, self.instances)
        flaws = [
            RowFlaw(row=error.row, code=error.code, field=error.field, detail=error.detail)
            for error in rows.errors
        ]
        return _report(options, rows.count, len(flaws), flaws)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateCsv:
    """Looks at the lines of a CSV, none of which may have more than `line_bytes`."""

    read_options: ReadOptions
    line_bytes: int

    def __call__(self, document: Mapping[str, Any], stream: Iterator[bytes]) -> ValidationReport:
        """Report on `stream`, of which one piece is held at a time. Raises what a job would."""
        options = self.read_options(CsvOptions, document)
        cut = CutLimits(piece_bytes=_PIECE, line_bytes=self.line_bytes)
        header, pieces = open_csv(options.model, stream, cut)
        rows = failed = 0
        flaws: list[RowFlaw] = []
        for flaw in _flaws(pieces, header.layout):
            if flaw is not None:
                failed += 1
                if len(flaws) < _MOST_ERRORS:
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


def _flaws(pieces: Iterable[Piece], layout: CsvLayout) -> Iterator[RowFlaw | None]:
    """Give for each row what is wrong with it, or None; the row's number is not yet there."""
    for piece in pieces:
        for at, raw in enumerate(piece.data.split(b"\n")[:-1]):
            if is_blank(raw):
                continue
            _, error, _ = read_line(raw.decode("utf-8", "replace").removesuffix("\r"), layout)
            if error is None:
                yield None
            else:
                code, detail, field = error
                line = piece.first_line + at
                yield RowFlaw(row=0, line=line, code=code, field=field, detail=detail)


def _report(options: JobOptions, rows: int, failed: int, flaws: list[RowFlaw]) -> ValidationReport:
    model = options.model
    return {
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "rows": rows,
        "usable_rows": rows - failed,
        "errors": flaws[:_MOST_ERRORS],
        "errors_truncated": failed > _MOST_ERRORS,
        "warnings": [],
        "columns": [
            {"feature": feature.name, "position": at, "name": None}
            for at, feature in enumerate(model.features)
        ],
    }
