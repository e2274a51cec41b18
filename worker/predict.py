"""Predicts many chunks as one: their rows stacked, one call of the model, the results cut apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from shared.domain.chunks import ChunkResult, Claimed, Encoding
from shared.zstd import decompress
from worker.csv_rows import Rows, read_lines
from worker.models import Model

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answers:
    """What a model says of n rows; rows marked not `good` have no label and NaN probabilities."""

    good: NDArray[np.bool_]
    labels: list[str | None]
    probabilities: NDArray[np.float32] | None
    outside: NDArray[np.bool_]


def predict_chunks(model: Model, chunks: Sequence[Claimed]) -> list[ChunkResult]:
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


def read_rows(chunk: Claimed, width: int) -> Rows:
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


def _answer(model: Model, rows: Floats, *, wants: bool) -> _Answers:
    good = np.asarray(np.isfinite(rows).all(axis=1), dtype=np.bool_)
    usable = rows if good.all() else rows[good]
    labels = np.full(len(rows), None, dtype=object)
    probabilities = None
    if len(usable):
        labels[good] = model.classes[model.predictor.predict(usable)]
    if wants:
        probabilities = np.full((len(rows), len(model.classes)), np.nan, dtype="<f4")
        if len(usable):
            probabilities[good] = model.predictor.predict_proba(usable)
    return _Answers(
        good=good,
        labels=labels.tolist(),
        probabilities=probabilities,
        outside=((rows < model.lows) | (rows > model.highs)) & good[:, None],
    )


def _cut(model: Model, chunk: Claimed, rows: Rows, answers: _Answers, part: slice) -> ChunkResult:
    labels = answers.labels[part]
    probabilities = answers.probabilities
    outside = answers.outside[part]
    counts = Counter(label for label in labels if label is not None)
    return ChunkResult(
        ref=chunk.ref,
        fence=chunk.fence,
        first_row=chunk.first_row,
        first_line=chunk.first_line,
        row_count=chunk.row_count,
        model_version=model.manifest.id,
        labels=labels,
        probabilities=None if probabilities is None else probabilities[part].tobytes(),
        errors=rows.errors,
        ids=rows.ids,
        lines=rows.lines,
        summary={"counts": dict(counts), "out_of_range": _out_of_range(model, outside)},
    )


def _out_of_range(model: Model, outside: NDArray[np.bool_]) -> dict[str, int]:
    if not outside.any():
        return {}
    sums = outside.sum(axis=0).tolist()
    names = (feature.name for feature in model.manifest.features)
    return {name: count for name, count in zip(names, sums, strict=True) if count}
