"""Classifiers trained on generated tables, and rows that are hard to label."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_blobs
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

Floats = NDArray[np.float64]

KERNELS: Final[dict[str, dict[str, Any]]] = {
    "linear": {"kernel": "linear"},
    "rbf": {"kernel": "rbf", "C": 5.0},
    "poly": {"kernel": "poly", "coef0": 1.0},
    "sigmoid": {"kernel": "sigmoid", "gamma": 1e-3, "coef0": -1.0},
}


def a_table(
    classes: int = 3, rows: int = 240, seed: int = 0, *, spread: float = 4.0
) -> tuple[Floats, NDArray[np.str_]]:
    """Return rows of five features around 20 whose classes overlap, and their labels."""
    table, numbers, _ = make_blobs(
        rows,
        n_features=5,
        centers=classes,
        cluster_std=spread,
        random_state=seed,
        return_centers=True,
    )
    names = np.array([f"bean {number:02}" for number in range(classes)])
    return np.asarray(table + 20.0), names[numbers]


def an_svc(classes: int = 3, **parameters: Any) -> SVC:
    """Return a fitted SVC."""
    return SVC(**parameters).fit(*a_table(classes))


def a_stack(*bases: Any, final: Any = None, classes: int = 3, **parameters: Any) -> Any:
    """Return a fitted regression on the margins of `bases`."""
    stack = StackingClassifier(
        [(f"svc{number}", base) for number, base in enumerate(bases)],
        final_estimator=final or LogisticRegression(max_iter=20_000),
        stack_method="decision_function",
        cv=3,
        **parameters,
    )
    return stack.fit(*a_table(classes))


def some_rows(classes: int = 3, count: int = 2000) -> Floats:
    """Return rows in and around those of `a_table`."""
    table, _ = a_table(classes)
    chance = np.random.default_rng(1)
    return np.asarray(
        table[chance.integers(len(table), size=count)]
        + chance.normal(scale=3.0, size=(count, table.shape[1]))
    )


def border_rows(predict: Callable[[Floats], Any], rows: Floats) -> Floats:
    """Return pairs of rows, one rounding apart, that `predict` puts into different classes.

    Where it contradicts itself there is no label to be equal to: a tie falls one way or the other
    with the place of its row among those of the call, as BLAS rounds by it.
    """
    labels = np.asarray(predict(rows))
    other = np.roll(np.arange(len(rows)), 1)
    differ = labels != labels[other]
    low, high, label = rows[differ].copy(), rows[other][differ].copy(), labels[differ]
    while True:
        middle = low + (high - low) / 2.0
        done = (middle == low).all(axis=1) | (middle == high).all(axis=1)
        if done.all():
            return _settled(predict, np.vstack([low, high]))
        same = np.asarray(predict(middle)) == label
        low[same & ~done], high[~same & ~done] = middle[same & ~done], middle[~same & ~done]


def _settled(predict: Callable[[Floats], Any], rows: Floats) -> Floats:
    """Return those of `rows` that get the same label alone, among some, and among all, anywhere."""
    labels = np.asarray(predict(rows))
    same = np.array([predict(row[None])[0] for row in rows]) == labels
    chance = np.random.default_rng(2)
    for share in (1.0, 1.0, 0.5, 0.25, 0.1, 0.02):
        some = chance.permutation(len(rows))[: max(1, round(share * len(rows)))]
        same[some] &= np.asarray(predict(rows[some])) == labels[some]
    settled: Floats = rows[same]
    return settled


def labels_of(predictor: Any, rows: Floats) -> NDArray[Any]:
    """Return a predictor's answers as labels."""
    labels: NDArray[Any] = np.array(predictor.classes)[predictor.predict(rows)]
    return labels
