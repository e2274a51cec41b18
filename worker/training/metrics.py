"""How good predictions are: of labels, and of probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.training.table import Floats, Labels

BINS: Final = 15
_LEAST: Final = 1e-15
"""A probability of zero counts as this much in the log-loss, as in scikit-learn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What a model says of rows whose true labels are known.

    `truth` and `labels` are (n,); `probabilities` (n, classes) is None for a model without them.
    """

    classes: tuple[str, ...]
    truth: Labels
    labels: Labels
    probabilities: Floats | None


def scores(predictions: Predictions) -> dict[str, Any]:
    """Return all figures by name, ready for a manifest; None where there are no probabilities."""
    table = confusion(predictions)
    found, said, right = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    precision, recall = _shares(right, said), _shares(right, found)
    f1 = _shares(2 * precision * recall, precision + recall)
    per_class = {
        name: {
            "precision": round(float(precision[i]), 4),
            "recall": round(float(recall[i]), 4),
            "rows": int(found[i]),
        }
        for i, name in enumerate(predictions.classes)
    }
    return {
        "rows": len(predictions.truth),
        "accuracy": round(float(right.sum() / table.sum()), 5),
        "macro_f1": round(float(f1.mean()), 5),
        "log_loss": _rounded(log_loss(predictions)),
        "calibration_error": _rounded(calibration_error(predictions)),
        "per_class": per_class,
        "confusion": table.tolist(),
    }


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Count rows by true class (down) and predicted class (across)."""
    table = np.zeros((len(predictions.classes),) * 2, np.int64)
    true = _indices(predictions.truth, predictions.classes)
    np.add.at(table, (true, _indices(predictions.labels, predictions.classes)), 1)
    return table


def log_loss(predictions: Predictions) -> float | None:
    """Return the mean of -ln(probability of the true class)."""
    if predictions.probabilities is None:
        return None
    true = _indices(predictions.truth, predictions.classes)
    chances = predictions.probabilities[np.arange(len(true)), true]
    return float(-np.log(np.maximum(chances, _LEAST)).mean())


def calibration_error(predictions: Predictions) -> float | None:
    """Return the expected calibration error of the most probable class, over 15 even bins.

    In each bin of confidence, how far the share of right answers lies from the mean confidence;
    averaged over the rows (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """
    if predictions.probabilities is None:
        return None
    confidence = predictions.probabilities.max(axis=1)
    right = predictions.probabilities.argmax(axis=1) == _indices(
        predictions.truth, predictions.classes
    )
    bins = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def agreement(predictions: Predictions) -> float | None:
    """Return the share of rows whose label is the most probable class."""
    if predictions.probabilities is None:
        return None
    likeliest = np.array(predictions.classes)[predictions.probabilities.argmax(axis=1)]
    return float((likeliest == predictions.labels).mean())


def _indices(labels: Labels, classes: Sequence[str]) -> NDArray[np.intp]:
    position = {name: index for index, name in enumerate(classes)}
    return np.array([position[str(label)] for label in labels], dtype=np.intp)


def _shares(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return shares


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
