"""Predicts many chunks as one: their rows stacked, one call of the model, the results cut apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import numpy as np
from numpy.typing import NDArray

from shared.domain.chunks import ChunkResult, ClaimedChunk, Encoding
from shared.domain.rows import RowError
from shared.zstd import decompress
from worker.batch.csv_rows import Rows, read_lines
from worker.batch.summary import Observed
from worker.inference import Predictor, RowsRefused
from worker.models.loader import LoadedModel

Floats = NDArray[np.float64]

_REFUSED: Final = "The model cannot compute with these numbers; at least one is far out of range."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Predictions:
    """What a model says of n rows; those not usable have no label and NaN probabilities.

    `refused` are the ones among them that could be read, and that the model cannot take.
    """

    refused: NDArray[np.bool_]
    labels: list[str | None]
    probabilities: NDArray[np.float32] | None
    observed: Observed


def predict_chunks(model: LoadedModel, chunks: Sequence[ClaimedChunk]) -> list[ChunkResult]:
    """Predict all rows of `chunks`, which are for `model`, in one call for each kind of output.

    A row with an error keeps it and gets no label; the others are not affected.
    """
    rows = [read_rows(chunk, len(model.lows)) for chunk in chunks]
    stacked = rows[0].values if len(rows) == 1 else np.concatenate([part.values for part in rows])
    answers = _answer(model, stacked, wants="probabilities" in chunks[0].outputs)
    ends = np.cumsum([len(part.values) for part in rows]).tolist()
    starts = [0, *ends[:-1]]
    return [
        _cut(model, chunk, part, answers, slice(start, end))
        for chunk, part, start, end in zip(chunks, rows, starts, ends, strict=True)
    ]


def read_rows(chunk: ClaimedChunk, width: int) -> Rows:
    """Read the rows of `chunk`, whatever their encoding."""
    match chunk.encoding:
        case Encoding.FLOAT64:
            values = np.frombuffer(chunk.body, dtype="<f8").reshape(chunk.row_count, width)
            return Rows(values=values, errors=chunk.errors)
        case Encoding.CSV_ZSTD:
            assert chunk.layout is not None  # noqa: S101 - a CSV always has one
            return read_lines(
                decompress(chunk.body), chunk.layout, chunk.row_count, chunk.first_line
            )
        case never:
            assert_never(never)


def _answer(model: LoadedModel, rows: Floats, *, wants: bool) -> _Predictions:
    finite = np.asarray(np.isfinite(rows).all(axis=1), dtype=np.bool_)
    good, found = _label(model.predictor, rows, finite)
    labels = np.full(len(rows), None, dtype=object)
    labels[good] = model.classes[found]
    probabilities = None
    if wants:
        probabilities = np.full((len(rows), len(model.classes)), np.nan, dtype="<f4")
        if len(found):
            probabilities[good] = model.predictor.predict_proba(_only(rows, good))
    return _Predictions(
        refused=finite & ~good,
        labels=labels.tolist(),
        probabilities=probabilities,
        observed=Observed.beside(model, rows, good),
    )


def _label(
    predictor: Predictor, rows: Floats, usable: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return which of the `usable` rows the predictor takes, and the class of each of those."""
    chosen = _only(rows, usable)
    if not len(chosen):
        return usable, np.empty(0, dtype=np.intp)
    try:
        return usable, predictor.predict(chosen)
    except RowsRefused as refusal:
        taken = usable.copy()
        taken[np.flatnonzero(usable)[refusal.rows]] = False
        return _label(predictor, rows, taken)


def _only(rows: Floats, chosen: NDArray[np.bool_]) -> Floats:
    return rows if chosen.all() else rows[chosen]


def _cut(
    model: LoadedModel, chunk: ClaimedChunk, rows: Rows, answers: _Predictions, part: slice
) -> ChunkResult:
    labels = answers.labels[part]
    probabilities = answers.probabilities
    return ChunkResult(
        ref=chunk.ref,
        fence=chunk.fence,
        first_row=chunk.first_row,
        first_line=chunk.first_line,
        row_count=chunk.row_count,
        model_version=model.manifest.id,
        labels=labels,
        probabilities=None if probabilities is None else probabilities[part].tobytes(),
        errors=_errors(chunk, rows, answers.refused[part]),
        ids=rows.ids,
        lines=rows.lines,
        summary=answers.observed.summary(part, labels, has_others=_has_others(chunk)),
        is_only_chunk=chunk.is_only_chunk,
    )


def _has_others(chunk: ClaimedChunk) -> bool:
    """Return whether the job of `chunk` has other chunks, as far as that is known here."""
    return chunk.ref.seq > 0 or (chunk.layout is not None and not chunk.is_only_chunk)


def _errors(chunk: ClaimedChunk, rows: Rows, refused: NDArray[np.bool_]) -> tuple[RowError, ...]:
    """Return the rows' own errors and those of the rows that the model refused, in order."""
    if not refused.any():
        return rows.errors
    found = [
        RowError(row=at, line=_line(chunk, rows, at), code="not_predictable", detail=_REFUSED)
        for at in np.flatnonzero(refused).tolist()
    ]
    return tuple(sorted([*rows.errors, *found], key=lambda error: error.row))


def _line(chunk: ClaimedChunk, rows: Rows, at: int) -> int | None:
    if rows.lines is not None:
        return rows.lines[at]
    return chunk.first_line + at if chunk.first_line else None
