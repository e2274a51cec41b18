"""What a worker counts of a chunk's rows, against counting them one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.models.manifest import Histogram
from shared.models.summaries import MIN_DRIFT_ROWS
from tests.fakes import FakePredictor, a_loaded_model
from tests.models import Floats, a_feature, a_manifest
from worker.batch.summary import Observed, count_bins
from worker.models.loader import LoadedModel

HISTOGRAM = Histogram(edges=(-2.0, -1.0, 0.0, 3.0, 5.0), counts=(1, 1, 1, 1))


def a_model() -> LoadedModel:
    """Make a model of three features, from -9 to 9 in training, of which one never changed."""
    features = (a_feature("Area"), a_feature("Length"), a_feature("Width", histogram=None))
    model = a_loaded_model(FakePredictor())
    return replace(model, manifest=a_manifest(features=features))


def observed(rows: Floats, usable: list[bool] | None = None) -> Observed:
    """Look at `rows`, all usable unless said otherwise."""
    flags = np.ones(len(rows), dtype=bool) if usable is None else np.array(usable)
    return Observed.beside(a_model(), rows, flags)


def bins_one_by_one(values: list[float], histogram: Histogram) -> list[int]:
    """Count as the manifest says: from an edge up to the next; the outermost bins are open."""
    counts = [0] * (len(histogram.edges) - 1)
    for value in values:
        at = 0
        while at < len(counts) - 1 and value >= histogram.edges[at + 1]:
            at += 1
        counts[at] += 1
    return counts


@given(
    hnp.arrays(
        np.float64,
        st.integers(0, 50),
        elements=st.sampled_from(HISTOGRAM.edges) | st.floats(-10, 10) | st.floats(width=64),
    ).filter(lambda values: np.isfinite(values).all())
)
def test_values_are_counted_in_the_bins_of_the_manifest(values: Floats) -> None:
    """On the edges, between them and beyond the outermost."""
    assert count_bins(values, HISTOGRAM) == bins_one_by_one(values.tolist(), HISTOGRAM)


def test_labels_are_counted_and_rows_without_one_are_not() -> None:
    """A row with an error belongs to no class."""
    rows = np.array([[1.0, 1, 1], [np.nan] * 3, [2, 2, 2]])

    summary = observed(rows, [True, False, True]).summary(slice(0, 3), ["a", None, "b"])

    assert summary == {"counts": {"a": 1, "b": 1}, "out_of_range": {}}


def test_rows_outside_the_training_range_are_counted_by_feature() -> None:
    """The range is -9 to 9, ends included; rows that cannot be used do not count."""
    rows = np.array(
        [[-9.0, 9.0, 0.0], [-9.1, 0.0, 9.1], [0.0, 0.0, 1e300], [1e308, 0.0, 1e308]],
    )

    summary = observed(rows, [True, True, True, False]).summary(slice(0, 4), ["a"] * 3 + [None])

    assert summary["out_of_range"] == {"Area": 1, "Width": 2}


def test_a_part_is_summarised_without_the_rows_around_it() -> None:
    """Chunks are predicted together and summarised apart."""
    rows = np.full((3 * MIN_DRIFT_ROWS, 3), 100.0)
    rows[MIN_DRIFT_ROWS : 2 * MIN_DRIFT_ROWS] = -1.0

    summary = observed(rows).summary(
        slice(MIN_DRIFT_ROWS, 2 * MIN_DRIFT_ROWS), ["a"] * MIN_DRIFT_ROWS
    )

    assert summary == {
        "counts": {"a": MIN_DRIFT_ROWS},
        "out_of_range": {},
        "histograms": {"Area": [MIN_DRIFT_ROWS, 0], "Length": [MIN_DRIFT_ROWS, 0]},
        "histogram_rows": MIN_DRIFT_ROWS,
    }


@pytest.mark.parametrize("usable", [MIN_DRIFT_ROWS - 1, MIN_DRIFT_ROWS])
def test_histograms_need_a_hundred_usable_rows(usable: int) -> None:
    """With fewer rows, chance looks like drift; a row with an error is no row here."""
    rows = np.random.default_rng(2).normal(size=(MIN_DRIFT_ROWS + 5, 3))
    rows[usable:] = np.nan
    flags = [at < usable for at in range(len(rows))]
    labels = ["a" if flag else None for flag in flags]

    summary = observed(rows, flags).summary(slice(0, len(rows)), labels)

    if usable < MIN_DRIFT_ROWS:
        assert "histograms" not in summary
        return
    edges = a_feature().histogram
    assert edges is not None
    assert summary["histogram_rows"] == usable
    assert summary["histograms"] == {
        name: bins_one_by_one(rows[:usable, at].tolist(), edges)
        for at, name in enumerate(["Area", "Length"])
    }


@pytest.mark.parametrize("usable", [0, 1, 99])
def test_a_small_part_of_a_larger_job_has_histograms(usable: int) -> None:
    """Its rows count with those of the other chunks."""
    rows = np.ones((99, 3))
    labels = ["a" if at < usable else None for at in range(99)]

    summary = observed(rows, [label is not None for label in labels]).summary(
        slice(0, 99), labels, has_others=True
    )

    assert summary.get("histogram_rows", 0) == usable
