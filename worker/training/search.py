"""Compares SVCs by shuffled cross-validation on the training part only: how version 2 was chosen.

    python -m worker.training.search --data PATH [--seed N] [--repeats N]

The held-out rows are never looked at. Each candidate's margins are taken from folds that it was not
fitted to; the regression on them is then cross-validated in turn.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline

from worker.models.artifacts import Estimator
from worker.training import beans
from worker.training.metrics import Predictions, scores
from worker.training.recipes import kernel_svc, margin_regression
from worker.training.table import Floats, Labels, Table, TableRefused, read_table
from worker.training.train import walkthrough_split

FOLDS: Final = 5
COLUMN_SETS: Final = {"all": tuple(range(len(beans.COLUMNS))), "independent": beans.INDEPENDENT}
COSTS: Final = (1.5, 3.0, 6.0)
SPREADS: Final = (0.5, 0.8, 1.2)
"""gamma times the number of columns: what a kernel sees stays alike when columns are added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One SVC to be tried, on columns by their positions."""

    columns: str
    cost: float
    gamma: float

    def svc(self) -> Pipeline:
        """Make it."""
        return kernel_svc(COLUMN_SETS[self.columns], cost=self.cost, gamma=self.gamma)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Means over the repeats: accuracy of the SVC's votes, and what the regressions reach.

    `plain` uses margins alone, `squashed` their tangents too; each is (accuracy, log-loss,
    calibration error). `support` counts support vectors.
    """

    vote: float
    plain: tuple[float, float, float]
    squashed: tuple[float, float, float]
    support: float


def candidates() -> Iterator[Candidate]:
    """List every candidate."""
    for columns, cost, spread in product(COLUMN_SETS, COSTS, SPREADS):
        gamma = round(spread / len(COLUMN_SETS[columns]), 4)
        yield Candidate(columns=columns, cost=cost, gamma=gamma)


def try_out(candidate: Candidate, table: Table, seeds: Sequence[int]) -> Finding:
    """Cross-validate `candidate` on `table`, once for each of `seeds`."""
    figures = np.array([_once(candidate, table, seed) for seed in seeds]).mean(axis=0).tolist()
    return Finding(
        vote=figures[0],
        support=figures[1],
        plain=tuple(figures[2:5]),
        squashed=tuple(figures[5:8]),
    )


def _once(candidate: Candidate, table: Table, seed: int) -> list[float]:
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    splits = list(folds.split(table.rows, table.labels))
    votes = np.empty_like(table.labels)
    margins: Floats | None = None
    support = []
    for inside, outside in splits:
        svc = candidate.svc().fit(table.rows[inside], table.labels[inside])
        found = svc.decision_function(table.rows[outside])
        if margins is None:
            margins = np.empty((len(table.rows), found.shape[1]))
        margins[outside] = found
        votes[outside] = svc.predict(table.rows[outside])
        support.append(len(svc[-1].support_))
    plain = LogisticRegression(max_iter=5_000)
    return [
        float((votes == table.labels).mean()),
        float(np.mean(support)),
        *_regressed(plain, margins, table.labels, seed),
        *_regressed(margin_regression(), margins, table.labels, seed),
    ]


def _regressed(
    regression: Estimator, margins: Floats | None, labels: Labels, seed: int
) -> tuple[float, float, float]:
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed + 1000)
    chances = cross_val_predict(regression, margins, labels, cv=folds, method="predict_proba")
    classes = np.unique(labels)
    found = scores(
        Predictions(
            classes=tuple(classes),
            truth=labels,
            labels=classes[chances.argmax(axis=1)],
            probabilities=chances,
        )
    )
    return found["accuracy"], found["log_loss"], found["calibration_error"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the search and print a line for each candidate."""
    parser = argparse.ArgumentParser(prog="python -m worker.training.search", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data set as CSV")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=4, help="shuffles to average over")
    options = parser.parse_args(arguments)
    try:
        table = walkthrough_split(read_table(options.data, beans.COLUMNS, beans.LABEL)).train
    except TableRefused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    seeds = range(options.seed, options.seed + options.repeats)
    figures = f"| {'right':>6} {'log-loss':>8} {'ECE':>6} "
    print(f"{'':44}| {'margins alone':22} | and their tangents")
    print(f"{'columns':12} {'C':>5} {'gamma':>7} {'support':>8} {'vote':>7} {figures}{figures}")
    for candidate in candidates():
        _print(candidate, try_out(candidate, table, seeds))
    return 0


def _print(candidate: Candidate, finding: Finding) -> None:
    def three(figures: Sequence[float]) -> str:
        return "{:.4f} {:8.4f} {:.4f}".format(*figures)

    print(
        f"{candidate.columns:12} {candidate.cost:5.1f} {candidate.gamma:7.4f} "
        f"{finding.support:8.0f}  {finding.vote:.4f} | {three(finding.plain)} "
        f"| {three(finding.squashed)}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
