"""Summaries of chunks added up, and drift computed from them."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models.manifest import Feature, Histogram
from shared.models.summaries import drift, merge_summaries, stability_index
from tests.models import a_feature

bins = st.lists(st.integers(0, 10_000), min_size=3, max_size=3)


def binned(name: str, counts: Sequence[int]) -> Feature:
    """Make a feature whose training fell into bins with `counts`."""
    edges = tuple(float(edge) for edge in range(len(counts) + 1))
    return a_feature(name, histogram=Histogram(edges=edges, counts=tuple(counts)))


def test_summaries_of_chunks_add_up() -> None:
    """Labels, rows out of range and histograms are each the sum over all chunks."""
    one = {
        "counts": {"SIRA": 100, "CALI": 1},
        "out_of_range": {"Area": 2},
        "histograms": {"Area": [1, 100], "Width": [50, 51]},
        "histogram_rows": 101,
    }
    two = {
        "counts": {"CALI": 200},
        "out_of_range": {"Area": 1, "Width": 7},
        "histograms": {"Area": [200, 0], "Width": [100, 100]},
        "histogram_rows": 200,
    }

    assert merge_summaries([one, two]) == {
        "counts": {"CALI": 201, "SIRA": 100},
        "out_of_range": {"Area": 3, "Width": 7},
        "histograms": {"Area": [201, 100], "Width": [150, 151]},
        "histogram_rows": 301,
    }


def test_a_chunk_without_histograms_adds_only_its_counts() -> None:
    """The last chunk of a job is often a small one."""
    large = {"counts": {"a": 100}, "out_of_range": {}, "histograms": {"Area": [60, 40]}}
    small = {"counts": {"a": 3}, "out_of_range": {"Area": 3}}

    merged = merge_summaries([small, large | {"histogram_rows": 100}, small])

    assert merged["counts"] == {"a": 106}
    assert (merged["histograms"], merged["histogram_rows"]) == ({"Area": [60, 40]}, 100)


def test_summaries_without_histograms_have_none_together() -> None:
    """Jobs of a few rows carry nothing for a drift they do not have."""
    small = {"counts": {"a": 1}, "out_of_range": {}}

    assert merge_summaries([small, small]) == {"counts": {"a": 2}, "out_of_range": {}}


@given(expected=bins, actual=bins)
def test_the_stability_index_is_the_textbooks_sum(expected: list[int], actual: list[int]) -> None:
    """Shares, smoothed by half a row a bin; the sum of difference times logarithm of the ratio."""
    e = (np.array(expected) + 0.5) / (sum(expected) + 1.5)
    a = (np.array(actual) + 0.5) / (sum(actual) + 1.5)

    assert stability_index(expected, actual) == pytest.approx(((a - e) * np.log(a / e)).sum())


@given(expected=bins, actual=bins)
def test_the_stability_index_is_never_negative_and_the_same_both_ways(
    expected: list[int], actual: list[int]
) -> None:
    """It is a distance: what drifted from what does not matter."""
    index = stability_index(expected, actual)

    assert index >= 0
    assert index == pytest.approx(stability_index(actual, expected))


def test_the_stability_index_of_a_worked_example() -> None:
    """Half of the rows moved from one bin of two to the other: 0.25 · ln 3 · 2 is 0.549."""
    many = 1_000_000

    index = stability_index([many, many], [many // 2, many * 3 // 2])

    assert index == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(1.5), abs=1e-5)


def test_an_empty_bin_weighs_much_but_not_infinitely() -> None:
    """A bin of training that no row fell into, and one that training never saw."""
    assert 0.25 < stability_index([500, 500], [1000, 0]) < 10
    assert 0.25 < stability_index([1000, 0], [500, 500]) < 10


def test_a_sample_of_the_training_rows_has_not_drifted() -> None:
    """Chance alone makes about (bins - 1) / rows: far below 0.1 from a few hundred rows on."""
    random = np.random.default_rng(1)
    expected = [1000] * 10
    indices = [
        stability_index(expected, random.multinomial(500, [0.1] * 10).tolist()) for _ in range(200)
    ]

    assert np.mean(indices) == pytest.approx(9 * (1 / 500 + 1 / 10_000), rel=0.2)
    assert max(indices) < 0.1


def test_drift_names_each_feature_that_has_histograms_on_both_sides() -> None:
    """A feature that never changed in training has none, and one of another release no equal."""
    features = [
        binned("Area", [50, 50]),
        a_feature("Width", histogram=None),
        binned("Length", [20, 30, 50]),
        binned("Height", [1, 1]),
    ]
    histograms = {"Area": [90, 10], "Width": [1, 1], "Length": [50, 50]}

    found = drift({"histograms": histograms, "histogram_rows": 100}, features)

    assert found == {"Area": pytest.approx(stability_index([50, 50], [90, 10]), abs=1e-6)}
    assert drift({"counts": {}}, features) == {}
    assert drift({"histograms": histograms, "histogram_rows": 99}, features) == {}
