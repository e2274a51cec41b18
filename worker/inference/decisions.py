"""How outputs become labels, and when rounding cannot have changed one."""

from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from worker.inference.predictor import Flags, Floats, Indices


class Decision(Protocol):
    """A rule that turns a row's outputs into a label."""

    @property
    def gives_probabilities(self) -> bool:
        """Whether `probabilities` answers."""

    def decide(self, values: Floats, errors: Floats) -> tuple[Indices, Flags]:
        """Label rows by their outputs, (n, outputs), which are wrong by `errors` at most.

        Gives labels and flags, (n,) each; where the flag is set, every set of values within the
        errors has that label.
        """

    def probabilities(self, values: Floats) -> Floats:
        """Return probabilities, (n, classes)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Votes:
    """One vote for each pair of classes; the first class with the most votes wins (libsvm).

    `ballots` (2 outputs, 2 classes): what a certainly positive and a certainly negative output give
    to each class and take from what it can still get.
    """

    ballots: NDArray[np.float32]
    classes: int

    @classmethod
    def among(cls, classes: int) -> "Votes":
        """Prepare the votes of all pairs of classes i < j: i wins where the output is positive."""
        pairs = list(combinations(range(classes), 2))
        ballots = np.zeros((2, len(pairs), 2, classes), np.float32)
        for pair, (i, j) in enumerate(pairs):
            ballots[0, pair, 0, i] = ballots[0, pair, 1, j] = 1.0
            ballots[1, pair, 0, j] = ballots[1, pair, 1, i] = 1.0
        return cls(ballots=ballots.reshape(2 * len(pairs), 2 * classes), classes=classes)

    @property
    def gives_probabilities(self) -> bool:
        """Votes are no probabilities."""
        return False

    def decide(self, values: Floats, errors: Floats) -> tuple[Indices, Flags]:
        """Compare the votes a class surely has with those that another can get at most."""
        count = values.shape[1]
        sure = np.empty((len(values), 2 * count), np.float32)
        np.greater(values, errors, out=sure[:, :count])
        np.less(values, -errors, out=sure[:, count:])
        lowest, lost = np.hsplit(sure @ self.ballots, 2)
        # Where two classes have the same number of votes, the first one wins.
        handicap = np.arange(self.classes, dtype=np.float32) / np.float32(2 * self.classes)
        lowest -= handicap
        highest = np.float32(self.classes - 1) - lost - handicap
        rows = np.arange(len(values))
        labels = lowest.argmax(axis=1)
        highest[rows, labels] = -np.inf
        return labels, lowest[rows, labels] > highest.max(axis=1)

    def probabilities(self, values: Floats) -> Floats:
        """Votes are no probabilities."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Argmax:
    """The class with the highest score, as scikit-learn's linear classifiers decide."""

    @property
    def gives_probabilities(self) -> bool:
        """Scores of a logistic regression are logarithms of odds."""
        return True

    def decide(self, values: Floats, errors: Floats) -> tuple[Indices, Flags]:
        """Compare the least the first can be with the most that any other can."""
        rows = np.arange(len(values))
        labels = values.argmax(axis=1)
        most = values + errors
        most[rows, labels] = -np.inf
        return labels, values[rows, labels] - errors[rows, labels] > most.max(axis=1)

    def probabilities(self, values: Floats) -> Floats:
        """Return the softmax of the scores, (n, classes)."""
        odds = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Positive:
    """The second of two classes where the one score is positive, else the first."""

    @property
    def gives_probabilities(self) -> bool:
        """The score of a logistic regression is a logarithm of odds."""
        return True

    def decide(self, values: Floats, errors: Floats) -> tuple[Indices, Flags]:
        """Compare the score with its error."""
        score = values[:, 0]
        return (score > 0.0).astype(np.intp), np.abs(score) > errors[:, 0]

    def probabilities(self, values: Floats) -> Floats:
        """Return the logistic function of the score, (n, 2)."""
        second = expit(values[:, 0])
        return np.column_stack([1.0 - second, second])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TanhMargins:
    """Decides by scores that add weighted tanh of margins to something already summed.

    The outputs are scores, then margins; `tangents` (margins, scores) weighs their tanh.
    """

    tangents: Floats
    scores: Argmax | Positive

    @property
    def gives_probabilities(self) -> bool:
        """Whether the scores give them."""
        return self.scores.gives_probabilities

    def decide(self, values: Floats, errors: Floats) -> tuple[Indices, Flags]:
        """Bound each tanh by the steepest that it can be within the error.

        Its slope is 1 - tanh^2, and tanh itself is off by no more than the margin.
        """
        count = self.tangents.shape[1]
        margins, wrong = values[:, count:], errors[:, count:]
        middle = np.tanh(margins)
        nearest = np.maximum(np.abs(middle) - wrong, 0.0)
        spread = wrong * (1.0 - nearest * nearest)
        return self.scores.decide(
            values[:, :count] + middle @ self.tangents,
            errors[:, :count] + spread @ np.abs(self.tangents),
        )

    def probabilities(self, values: Floats) -> Floats:
        """Return the scores' probabilities, (n, classes)."""
        count = self.tangents.shape[1]
        return self.scores.probabilities(
            values[:, :count] + np.tanh(values[:, count:]) @ self.tangents
        )
