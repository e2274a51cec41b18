"""Convert the stored result of a chunk into rows, each with its label or its error."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from api.jobs.input_rows import as_numbers, input_rows
from api.schemas.job import ResultRow, RowProblem
from shared.db.queries.results import StoredResult
from shared.domain.jobs import Job
from shared.domain.rows import RowError

DIGITS: Final = 7
"""Probabilities are stored as float32, which holds about seven decimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultShape:
    """The members that the rows of a job's results have.

    `classes` and `features` are names in the model's order. `classes` is empty when the classes are
    no longer known.
    """

    job: Job
    classes: Sequence[str]
    features: Sequence[str]
    include_input: bool = False

    @property
    def has_lines(self) -> bool:
        """Whether the rows were sent as lines of a CSV."""
        return self.job.layout is not None

    @property
    def has_ids(self) -> bool:
        """Whether the CSV had a column of ids."""
        return self.job.layout is not None and self.job.layout.id_position is not None

    @property
    def has_probabilities(self) -> bool:
        """Whether probabilities were requested; without class names they are omitted."""
        return bool(self.classes) and "probabilities" in self.job.outputs


def row_documents(
    stored: StoredResult, shape: ResultShape, first: int = 0, last: int | None = None
) -> Iterator[ResultRow]:
    """Yield the documents of the rows of `stored` from `first` to `last` - 1."""
    start = max(first - stored.first_row, 0)
    end = stored.row_count if last is None else min(last - stored.first_row, stored.row_count)
    offsets = range(start, max(start, end))
    errors = {error.row: error for error in stored.errors}
    distributions = probabilities(stored, len(shape.classes), offsets)
    layout, features = shape.job.layout, shape.features
    inputs = input_rows(stored, layout, features, offsets) if shape.include_input else None
    for offset in offsets:
        row: ResultRow = {"row": stored.first_row + offset}
        if shape.has_lines:
            row["line"] = stored.line(offset)
        if stored.ids is not None:
            row["id"] = stored.ids[offset]
        label = stored.labels[offset] if stored.labels is not None else None
        distribution = next(distributions) if distributions is not None else None
        if label is None:
            row["error"] = error_document(stored, errors.get(offset))
        else:
            row["label"] = label
            if distribution is not None:
                row["probabilities"] = dict(zip(shape.classes, distribution, strict=True))
        if inputs is not None:
            row["input"] = dict(zip(features, next(inputs), strict=True))
        yield row


def probabilities(stored: StoredResult, width: int, offsets: range) -> Iterator[list[float]] | None:
    """Return the probabilities of `width` classes for the rows at `offsets`; None without any."""
    if stored.probabilities is None or not width:
        return None
    values = as_numbers(stored.probabilities, "f")
    return (
        [round(value, DIGITS) for value in values[at * width : (at + 1) * width]] for at in offsets
    )


def error_document(stored: StoredResult, error: RowError | None) -> RowProblem:
    """Return the error of a row of `stored` without a label: its own or that of its chunk."""
    if error is not None:
        return {"code": error.code, "field": error.field, "detail": error.detail}
    if stored.failure is not None:
        return {"code": stored.failure.code, "field": None, "detail": stored.failure.detail}
    return {"code": "no_label", "field": None, "detail": "The row has no label."}


def failed_offsets(stored: StoredResult) -> Sequence[int]:
    """Return the offsets within `stored`, from 0, of the rows without a label."""
    if stored.labels is None:
        return range(stored.row_count)
    return [error.row for error in stored.errors]
