"""What the worker asks of a model, and the ordinary way to answer it: scikit-learn itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.domain.errors import DryBeansError

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]
Flags: TypeAlias = NDArray[np.bool_]

_MOST_REFUSED: Final = 256
"""Beyond so many refused rows the fault is not in the rows; looking for them one by one stops."""


class RowsRefused(DryBeansError):
    """The model cannot answer some of the rows."""

    code = "rows_refused"

    def __init__(self, rows: Indices) -> None:
        """Name the refused `rows` by their indices, ascending."""
        super().__init__()
        self.rows = rows


class Predictor(Protocol):
    """A classifier of numeric rows.

    Rows are float64 of shape (n, features). A row that scikit-learn itself would refuse (not
    finite, or overflowing inside the model) makes the whole call raise `RowsRefused`, which names
    every such row; a table of the wrong width raises `ValueError`.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the estimator's `classes_`."""

    @property
    def supports_probabilities(self) -> bool:
        """Whether `predict_proba` answers."""

    def predict(self, rows: Floats) -> Indices:
        """Return each row's label, shape (n,), as an index into `classes`."""

    def predict_proba(self, rows: Floats) -> Floats:
        """Return each row's probability of each class, shape (n, classes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockPredictor:
    """Asks the estimator itself; suits every scikit-learn classifier."""

    estimator: Any

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the estimator's `classes_`."""
        return tuple(str(label) for label in self.estimator.classes_)

    @property
    def supports_probabilities(self) -> bool:
        """Whether the estimator has `predict_proba`."""
        return hasattr(self.estimator, "predict_proba")

    def predict(self, rows: Floats) -> Indices:
        """Return each row's label, shape (n,), as an index into `classes`."""
        if not len(rows):
            return np.empty(0, np.intp)
        labels = self._answer(self.estimator.predict, rows)
        classes = np.asarray(self.estimator.classes_)
        order = np.argsort(classes)
        return order[np.searchsorted(classes, labels, sorter=order)].astype(np.intp, copy=False)

    def predict_proba(self, rows: Floats) -> Floats:
        """Return each row's probability of each class, shape (n, classes)."""
        if not len(rows):
            return np.empty((0, len(self.classes)))
        answer = self._answer(self.estimator.predict_proba, rows)
        return np.asarray(answer, dtype=np.float64)

    def _answer(self, method: Callable[[Any], Any], rows: Floats) -> NDArray[Any]:
        """Call `method`; what overflows on the way is the estimator's affair, not a warning's."""
        with np.errstate(all="ignore"):
            try:
                return np.asarray(method(self._named(rows)))
            except ValueError as refusal:
                refused = np.flatnonzero(~np.isfinite(rows).all(axis=1))
                if not refused.size:
                    refused = self._search(method, rows, refusal)
                raise RowsRefused(refused) from refusal

    def _named(self, rows: Floats) -> Any:  # noqa: ANN401 - an array, or a table of named columns
        """Return an estimator that was fitted on named columns those names."""
        names = getattr(self.estimator, "feature_names_in_", None)
        return rows if names is None else pd.DataFrame(rows, columns=names, copy=False)

    def _search(self, method: Callable[[Any], Any], rows: Floats, refusal: ValueError) -> Indices:
        """Find by halving the rows that raise alone; re-raise `refusal` when they are too many."""
        found: list[int] = []
        for row in self._halve(method, rows, 0):
            found.append(row)
            if len(found) > _MOST_REFUSED:
                raise refusal
        if not found:
            raise refusal
        return np.asarray(found, dtype=np.intp)

    def _halve(self, method: Callable[[Any], Any], rows: Floats, first: int) -> Iterator[int]:
        try:
            method(self._named(rows))
        except ValueError:
            if len(rows) == 1:
                yield first
                return
            half = len(rows) // 2
            yield from self._halve(method, rows[:half], first)
            yield from self._halve(method, rows[half:], first + half)
