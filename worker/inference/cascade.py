"""Labels rows by the cheapest arithmetic that is certain to give scikit-learn's label."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from worker.inference.decisions import Decision
from worker.inference.estimators.svc import LinearHead, Steps
from worker.inference.kernels.expansion import Evaluator
from worker.inference.predictor import Flags, Floats, Indices, RowsRefused, StockPredictor

Answer = TypeVar("Answer", Indices, Floats)

_BLOCK: Final = 2048
"""Rows taken at a time: enough to hide Python's own time, few enough for the cache."""
_WASTE: Final = 0.5
"""The next stage takes about twice as long: one that leaves more rows than this is wasted."""
_CLOSE: Final = 1e-7
"""A score known to within this gives a probability well within the promised 1e-6."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """One way to compute the outputs: machines, each with the steps its rows go through.

    `decision` makes labels of its outputs.
    """

    evaluators: tuple[tuple[Steps, Evaluator], ...]
    bias: Floats
    slack: Floats
    decision: Decision
    head: LinearHead | None = None

    def evaluate(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return values, (n, outputs), and error bounds, (n, outputs or 1), lifted."""
        values, errors = self.bias, self.slack
        for steps, machine in self.evaluators:
            more, wrong = machine.evaluate(transform(steps, rows))
            values, errors = values + more, errors + wrong
        return self.head(values, errors) if self.head else (values, errors)

    def accepts(self, rows: Floats) -> Flags:
        """Return which rows stay finite up to the machines; scikit-learn refuses the others."""
        flags = [np.isfinite(transform(steps, rows)).all(axis=1) for steps, _ in self.evaluators]
        return np.asarray(np.logical_and.reduce(flags))


def transform(steps: Steps, rows: Floats) -> Floats:
    """Carry rows through all `steps`."""
    for step in steps:
        rows = step(rows)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cascade:
    """Computes all rows in the first stage, what that leaves unsure in the next, and so on.

    Rows that no stage is sure of (ties, and values that scikit-learn itself rounds across zero)
    are scikit-learn's own to label, so every label is its label. Rows have `width` numbers: to ask
    a pipeline for it takes a fifth of a row's time. `caution` scales the error bounds; below one
    the labels are no longer safe, which is for tests of the bounds only.
    """

    stock: StockPredictor
    stages: tuple[Stage, ...]
    bound_scale: float
    width: int

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the estimator's `classes_`."""
        return self.stock.classes

    @property
    def supports_probabilities(self) -> bool:
        """Whether the estimator has `predict_proba`."""
        return self.stock.supports_probabilities

    def predict(self, rows: Floats) -> Indices:
        """Return each row's label, shape (n,), as an index into `classes`."""
        self._check_width(rows)
        labels = np.empty(len(rows), np.intp)
        unsure = self._settle(rows, labels)[-1]
        self._ask(self.stock.predict, rows, unsure, labels)
        return labels

    def unsettled(self, rows: Floats) -> tuple[int, ...]:
        """Count the rows that each stage in turn leaves to the next."""
        return tuple(map(len, self._settle(rows, np.empty(len(rows), np.intp))))

    def predict_proba(self, rows: Floats) -> Floats:
        """Return each row's probability of each class, shape (n, classes), within 1e-6."""
        if not self.stages[-1].decision.gives_probabilities:
            return self.stock.predict_proba(rows)
        self._check_width(rows)
        answer = np.empty((len(rows), len(self.classes)))
        unsure = np.empty(len(rows), np.bool_)
        stage = self.stages[-1]
        with np.errstate(all="ignore"):
            for start in range(0, len(rows), _BLOCK):
                part = slice(start, start + _BLOCK)
                values, errors = stage.evaluate(rows[part])
                answer[part] = stage.decision.probabilities(values)
                unsure[part] = ~(self.bound_scale * errors.max(axis=1) < _CLOSE)
        self._ask(self.stock.predict_proba, rows, np.flatnonzero(unsure), answer)
        return answer

    def _check_width(self, rows: Floats) -> None:
        if rows.ndim != 2 or rows.shape[1] != self.width:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"rows have the shape {rows.shape}, not (n, {self.width})")

    def _settle(self, rows: Floats, labels: Indices) -> list[Indices]:
        """Write the labels that are certain; give the rows that each stage leaves unsure."""
        left: list[Indices] = []
        unsure = np.arange(len(rows))
        with np.errstate(all="ignore"):
            for stage in self.stages:
                unsure = self._pass(stage, rows, unsure, labels)
                left.append(unsure)
        return left

    def _pass(self, stage: Stage, rows: Floats, chosen: Indices, labels: Indices) -> Indices:
        """Write the labels of the `chosen` rows that `stage` is sure of; give the other rows.

        A stage that is sure of too few of the first rows is not tried on the rest.
        """
        unsure, left = [chosen[:0]], 0
        for start in range(0, len(chosen), _BLOCK):
            if left > _WASTE * start and start > _BLOCK and stage is not self.stages[-1]:
                unsure.append(chosen[start:])
                break
            part = chosen[start : start + _BLOCK]
            values, errors = stage.evaluate(rows[part])
            labels[part], sure = stage.decision.decide(values, self.bound_scale * errors)
            unsure.append(part[~sure])
            left += len(unsure[-1])
        return np.concatenate(unsure)

    def _ask(
        self, method: Callable[[Floats], Answer], rows: Floats, chosen: Indices, into: Answer
    ) -> None:
        """Write scikit-learn's own answer for the `chosen` rows; refuse those that it refuses."""
        if not chosen.size:
            return
        with np.errstate(all="ignore"):
            refused = chosen[~self.stages[-1].accepts(rows[chosen])]
        if refused.size:
            raise RowsRefused(refused)
        try:
            into[chosen] = method(rows[chosen])
        except RowsRefused as refusal:
            raise RowsRefused(chosen[refusal.rows]) from refusal
