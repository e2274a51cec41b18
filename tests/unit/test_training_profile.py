"""Ranges and histograms describe a table; made-up rows resemble it and are none of it."""

import numpy as np
import pytest

from tests.models import a_table
from worker.training.profile import features_of, made_up_rows
from worker.training.table import Column, Floats, Table


def _table(rows: Floats | None = None) -> Table:
    some, labels = a_table(600)
    rows = some if rows is None else rows
    columns = tuple(Column(name=f"x{i}") for i in range(rows.shape[1]))
    return Table(columns=columns, rows=rows, labels=labels[: len(rows)])


def test_a_histogram_has_a_tenth_of_the_rows_in_each_bin() -> None:
    """The inner edges are deciles."""
    table = _table()
    feature = features_of(table)[0]

    assert feature.histogram is not None
    assert feature.histogram.counts == (60,) * 10
    assert feature.histogram.edges[0] == feature.minimum == table.rows[:, 0].min()
    assert feature.histogram.edges[-1] == feature.maximum == table.rows[:, 0].max()


def test_a_column_of_few_values_has_fewer_bins() -> None:
    """Equal deciles are one edge, and no row is lost."""
    rows = np.repeat([[0.0], [1.0], [2.0]], 20, axis=0)
    histogram = features_of(_table(rows))[0].histogram

    assert histogram is not None
    assert histogram.edges == (0.0, 1.0, 2.0)
    assert histogram.counts == (20, 40)


def test_a_constant_column_has_no_histogram() -> None:
    """There is nothing to cut into bins."""
    assert features_of(_table(np.ones((9, 1))))[0].histogram is None


def test_made_up_rows_are_none_of_the_table() -> None:
    """The data set's rows stay out of the repository."""
    table = _table()
    made = made_up_rows(table, per_class=50, seed=1)

    assert made.shape == (150, 3)
    assert not {tuple(row) for row in made} & {tuple(row) for row in table.rows}


def test_made_up_rows_resemble_their_class() -> None:
    """They have its means, its correlations, and stay within the ranges seen."""
    random = np.random.default_rng(0)
    length = random.normal(size=(300, 1))
    table = _table(np.hstack([length, 1e6 * length, 1e-6 * random.normal(size=(300, 1))]))
    made = made_up_rows(table, per_class=100, seed=1)

    np.testing.assert_allclose(made[:, 1], 1e6 * made[:, 0], atol=1.0)
    assert abs(np.corrcoef(made[:, 0], made[:, 2])[0, 1]) < 0.3
    assert (made >= table.rows.min(axis=0) - 1e-9).all()
    assert (made <= table.rows.max(axis=0) + 1e-9).all()


@pytest.mark.parametrize("seed, same", [(1, True), (2, False)])
def test_made_up_rows_are_repeated_by_their_seed(seed: int, same: bool) -> None:  # noqa: FBT001
    """The same seed draws the same rows."""
    first, again = (made_up_rows(_table(), per_class=3, seed=s) for s in (1, seed))

    assert np.array_equal(first, again) is same
