"""What a table's columns look like, and rows made up after them."""

from typing import Final

import numpy as np

from shared.models.manifest import Feature, Histogram
from worker.training.table import Column, Floats, Table

_DECILES: Final = np.linspace(0.0, 1.0, 11)
_DIGITS: Final = 9
"""Significant digits of a made-up value, about as many as the data set has."""


def features_of(table: Table) -> tuple[Feature, ...]:
    """Describe each column with its range and its distribution over deciles."""
    return tuple(
        _feature(column, table.rows[:, index]) for index, column in enumerate(table.columns)
    )


def made_up_rows(table: Table, *, per_class: int, seed: int) -> Floats:
    """Draw `per_class` rows for each class from a normal distribution with the class's moments.

    They follow the columns' correlations and stay within the ranges seen; none is a row of the
    table. Shape (classes × per_class, columns).
    """
    random = np.random.default_rng(seed)
    low, high = table.rows.min(axis=0), table.rows.max(axis=0)
    drawn = [
        _draw(table.rows[table.labels == label], per_class, random)
        for label in np.unique(table.labels)
    ]
    return _rounded(np.clip(np.concatenate(drawn), low, high))


def _feature(column: Column, values: Floats) -> Feature:
    return Feature(
        name=column.name,
        unit=column.unit,
        description=column.description,
        aliases=column.aliases,
        minimum=float(values.min()),
        maximum=float(values.max()),
        histogram=_histogram(values),
    )


def _histogram(values: Floats) -> Histogram | None:
    # A column of few different values has equal deciles; its bins are fewer then.
    edges = np.unique(np.quantile(values, _DECILES))
    if len(edges) < 2:  # noqa: PLR2004 - a bin has two edges
        return None
    bins = np.searchsorted(edges[1:-1], values, side="right")
    counts = np.bincount(bins, minlength=len(edges) - 1)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def _draw(rows: Floats, count: int, random: np.random.Generator) -> Floats:
    # In units of the standard deviations, since areas are millions of times shape factors.
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    scaled = (rows - mean) / np.where(spread > 0, spread, 1.0)
    covariance = scaled.T @ scaled / len(rows)
    drawn: Floats = random.multivariate_normal(
        np.zeros(len(mean)), covariance, size=count, method="eigh"
    )
    rows_like_them: Floats = mean + spread * drawn
    return rows_like_them


def _rounded(rows: Floats) -> Floats:
    return np.array([[float(f"{value:.{_DIGITS}g}") for value in row] for row in rows])
