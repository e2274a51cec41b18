"""Figures are right, and the same as scikit-learn's where it has them."""

import numpy as np
import pytest
from sklearn import metrics as stock

from worker.training.metrics import Predictions, agreement, calibration_error, confusion, scores

CLASSES = ("a", "b", "c")


def _predictions(rows: int = 200) -> Predictions:
    random = np.random.default_rng(3)
    chances = random.dirichlet((1.0, 1.0, 1.0), size=rows)
    names = np.array(CLASSES)
    return Predictions(
        classes=CLASSES,
        truth=names[random.integers(3, size=rows)],
        labels=names[chances.argmax(axis=1)],
        probabilities=chances,
    )


def test_figures_are_scikit_learns() -> None:
    """Where scikit-learn has a figure of that name, it is the same."""
    found = _predictions()
    truth, labels = found.truth, found.labels
    ours = scores(found)

    assert ours["accuracy"] == pytest.approx(stock.accuracy_score(truth, labels), abs=1e-5)
    macro = stock.f1_score(truth, labels, average="macro")
    assert ours["macro_f1"] == pytest.approx(macro, abs=1e-5)
    assert ours["log_loss"] == pytest.approx(stock.log_loss(truth, found.probabilities), abs=1e-5)
    assert ours["confusion"] == stock.confusion_matrix(truth, labels).tolist()
    precision, recall, _, rows = stock.precision_recall_fscore_support(truth, labels)
    for index, name in enumerate(CLASSES):
        of = ours["per_class"][name]
        assert of["precision"] == pytest.approx(precision[index], abs=1e-4)
        assert of["recall"] == pytest.approx(recall[index], abs=1e-4)
        assert of["rows"] == rows[index]


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    """Ninety percent sure and right half the time is off by 0.4; the other half is spot on."""
    predictions = Predictions(
        classes=("a", "b"),
        truth=np.array(["a", "b", "a", "a"]),
        labels=np.array(["a", "a", "a", "a"]),
        probabilities=np.array([[0.9, 0.1], [0.9, 0.1], [1.0, 0.0], [1.0, 0.0]]),
    )

    assert calibration_error(predictions) == pytest.approx(0.2)


def test_a_class_nobody_predicts_has_no_precision() -> None:
    """A share of nothing counts as zero, without a warning."""
    predictions = Predictions(
        classes=("a", "b"),
        truth=np.array(["a", "b"]),
        labels=np.array(["a", "a"]),
        probabilities=None,
    )

    assert scores(predictions)["per_class"]["b"] == {"precision": 0.0, "recall": 0.0, "rows": 1}
    assert confusion(predictions).tolist() == [[1, 0], [1, 0]]


def test_without_probabilities_their_figures_are_none() -> None:
    """A model without probabilities gets no made-up ones."""
    some = _predictions()
    bare = Predictions(classes=CLASSES, truth=some.truth, labels=some.labels, probabilities=None)

    assert scores(bare)["log_loss"] is None
    assert scores(bare)["calibration_error"] is None
    assert agreement(bare) is None


def test_agreement_is_the_share_of_labels_that_are_the_likeliest_class() -> None:
    """The label rule of a manifest rests on this count."""
    some = _predictions(4)
    labels = some.labels.copy()
    labels[0] = "a" if labels[0] != "a" else "b"
    changed = Predictions(
        classes=CLASSES, truth=some.truth, labels=labels, probabilities=some.probabilities
    )

    assert agreement(some) == 1.0
    assert agreement(changed) == 0.75


def test_a_certain_mistake_does_not_make_the_log_loss_infinite() -> None:
    """A probability of zero counts as a very small one."""
    predictions = Predictions(
        classes=("a", "b"),
        truth=np.array(["a"]),
        labels=np.array(["b"]),
        probabilities=np.array([[0.0, 1.0]]),
    )

    assert scores(predictions)["log_loss"] == pytest.approx(-np.log(1e-15), rel=1e-6)
