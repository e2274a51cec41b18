"""Predicting many chunks as one, and cutting the answers apart again."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from shared.domain.chunks import ClaimedChunk, Encoding
from shared.domain.csv_layout import CsvLayout
from shared.domain.jobs import ChunkRef, JobId, ModelPin
from shared.domain.rows import RowError, pack
from shared.zstd import compress
from tests.fakes import FakePredictor, a_loaded_model
from tests.models import a_manifest
from worker.batch.predict import predict_chunks

WIDE = a_manifest()
LAYOUT = CsvLayout(
    delimiter=",",
    width=4,
    positions=(1, 2, 3),
    id_position=0,
    names=("id", "Area", "Length", "Width"),
)


def a_claim(*rows: object, outputs: tuple[str, ...] = ("label",), seq: int = 0) -> ClaimedChunk:
    """Claim a chunk of rows that came as JSON."""
    packed = pack(rows, WIDE.columns, [feature.name for feature in WIDE.features])
    return ClaimedChunk(
        ref=ChunkRef(job=JobId("j"), seq=seq),
        fence=3,
        attempt=1,
        first_row=100,
        first_line=0,
        row_count=packed.count,
        encoding=Encoding.FLOAT64,
        layout=None,
        body=packed.body,
        errors=packed.errors,
        model=ModelPin("toy", 1, "0" * 64),
        outputs=outputs,
    )


def a_csv_claim(text: bytes, rows: int) -> ClaimedChunk:
    """Claim a chunk of a CSV whose first line is line 7."""
    return replace(
        a_claim(),
        row_count=rows,
        first_line=7,
        encoding=Encoding.CSV_ZSTD,
        layout=LAYOUT,
        body=compress(text),
        errors=(),
    )


def row(first: float) -> list[float]:
    """Make a row that the fake predictor labels by `first`."""
    return [first, 0.0, 0.0]


def test_chunks_of_one_model_are_predicted_in_one_call() -> None:
    """Each chunk gets its own rows' labels back, under the claim it came with."""
    predictor = FakePredictor()
    chunks = [a_claim(row(0), row(2)), a_claim(row(1), seq=1), a_claim(row(2), seq=2)]

    results = predict_chunks(a_loaded_model(predictor), chunks)

    assert predictor.asked == [4]
    assert [result.labels for result in results] == [["a", "c"], ["b"], ["c"]]
    assert [(r.ref, r.fence, r.first_row, r.row_count) for r in results] == [
        (c.ref, 3, 100, c.row_count) for c in chunks
    ]
    assert {result.model_version for result in results} == {"toy@1"}


def test_a_row_with_an_error_keeps_it_and_gets_no_label() -> None:
    """The rows around it are labelled as if it were not there."""
    predictor = FakePredictor()

    (result,) = predict_chunks(a_loaded_model(predictor), [a_claim(row(0), ["x"], row(2))])

    assert predictor.asked == [2]
    assert result.labels == ["a", None, "c"]
    assert [(error.row, error.code) for error in result.errors] == [(1, "too_few_fields")]
    assert result.failed_rows == 1


def test_a_row_that_the_model_refuses_gets_an_error_of_its_own() -> None:
    """A finite number may still overflow inside a model; it fails its row, not its batch."""
    predictor = FakePredictor(refuses=[-1e308])
    chunks = [a_claim(row(0), row(-1e308), ["x"]), a_claim(row(1), row(-1e308), seq=1)]

    one, two = predict_chunks(a_loaded_model(predictor), chunks)

    assert (one.labels, two.labels) == (["a", None, None], ["b", None])
    assert [(error.row, error.code) for error in one.errors] == [
        (1, "not_predictable"),
        (2, "too_few_fields"),
    ]
    assert [(error.row, error.line) for error in two.errors] == [(1, None)]
    # A small chunk of a larger job keeps its histograms, for the drift of the whole job.
    assert two.summary == {
        "counts": {"b": 1},
        "out_of_range": {},
        "histograms": {"Area": [0, 1], "Length": [0, 1], "Width": [0, 1]},
        "histogram_rows": 1,
    }


def test_a_chunk_without_a_usable_row_never_reaches_the_model() -> None:
    """All its rows have errors."""
    predictor = FakePredictor()

    (result,) = predict_chunks(a_loaded_model(predictor), [a_claim([], ["x"])])

    assert predictor.asked == []
    assert (result.labels, result.failed_rows) == ([None, None], 2)


def test_a_chunk_whose_every_row_is_refused_has_only_errors() -> None:
    """The model is not asked about nothing."""
    predictor = FakePredictor(refuses=[5.0])
    claim = a_claim(row(5), row(5), outputs=("label", "probabilities"))

    (result,) = predict_chunks(a_loaded_model(predictor), [claim])

    assert result.labels == [None, None]
    assert result.failed_rows == 2


def test_probabilities_are_given_when_asked_for() -> None:
    """Rows × classes little-endian float32; NaN in a row without a label."""
    model = a_loaded_model(FakePredictor(refuses=[9.0]))
    both = ("label", "probabilities")

    (plain,) = predict_chunks(model, [a_claim(row(1))])
    (asked,) = predict_chunks(model, [a_claim(row(1), [], row(9), row(2), outputs=both)])

    assert plain.probabilities is None
    assert asked.probabilities is not None
    values = np.array(struct.unpack("<12f", asked.probabilities)).reshape(4, 3)
    assert values[0] == pytest.approx([0.1, 0.8, 0.1])
    assert values[3] == pytest.approx([0.1, 0.1, 0.8])
    assert np.isnan(values[1:3]).all()


def test_a_summary_counts_labels_and_rows_outside_the_training_ranges() -> None:
    """Per class, and per feature of rows that have a label; the ranges' ends are inside."""
    rows = [[0.0, 9.0, -9.0], [0.0, 9.1, 0.0], [1.0, -9.1, 99.0], [None, 99.0, 0.0]]

    (result,) = predict_chunks(a_loaded_model(FakePredictor()), [a_claim(*rows)])

    assert result.summary == {
        "counts": {"a": 2, "b": 1},
        "out_of_range": {"Length": 2, "Width": 1},
    }


def test_a_chunk_of_csv_is_read_by_its_jobs_layout() -> None:
    """Ids are echoed; a bad line has its own number in the client's file."""
    claim = a_csv_claim(b"x1,0,0,0\nx2,oops,0,0\n\nx3,2,0,0\nx4,-1e308,0,0\n", rows=4)
    model = a_loaded_model(FakePredictor(refuses=[-1e308]))

    (result,) = predict_chunks(model, [claim])

    assert result.labels == ["a", None, "c", None]
    assert result.ids == ["x1", "x2", "x3", "x4"]
    assert result.lines == [7, 8, 10, 11]
    assert [(e.row, e.line, e.code, e.field) for e in result.errors] == [
        (1, 8, "not_a_number", "Area"),
        (3, 11, "not_predictable", None),
    ]


def test_a_refused_line_of_a_clean_csv_has_its_number() -> None:
    """Also where no line was looked at one by one."""
    claim = a_csv_claim(b"x1,0,0,0\nx2,-1e308,0,0\n", rows=2)
    model = a_loaded_model(FakePredictor(refuses=[-1e308]))

    (result,) = predict_chunks(model, [claim])

    assert result.errors == (
        RowError(row=1, line=8, code="not_predictable", detail=result.errors[0].detail),
    )


def test_a_model_that_breaks_is_not_hidden() -> None:
    """What to do about a bug is the batch run's decision."""
    with pytest.raises(ZeroDivisionError):
        predict_chunks(a_loaded_model(FakePredictor(breaks=[1.0])), [a_claim(row(1))])
