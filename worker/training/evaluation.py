"""Measures models on rows that they were not trained on, beside baselines."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from sklearn.model_selection import StratifiedKFold

from worker.models.artifacts import Estimator, answers
from worker.training.metrics import Predictions, agreement, scores
from worker.training.table import Table

FIGURES: Final = ("accuracy", "macro_f1", "log_loss", "calibration_error")
"""What is compared with the baselines, and averaged over folds."""

Recipe: TypeAlias = Callable[[], Estimator]
"""Makes a classifier that is not fitted yet."""


def predictions_of(model: Estimator, table: Table) -> Predictions:
    """Ask a fitted `model` for all rows of `table`."""
    labels, probabilities = answers(model, table.rows)
    return Predictions(
        classes=tuple(map(str, model.classes_)),
        truth=table.labels,
        labels=np.array(labels),
        probabilities=probabilities,
    )


def held_out(model: Estimator, baselines: Mapping[str, Estimator], table: Table) -> dict[str, Any]:
    """Measure the fitted `model`, and fitted baselines by name, on the rows of `table`."""
    predictions = predictions_of(model, table)
    return scores(predictions) | {
        "labels_as_probabilities": agreement(predictions),
        "baselines": {
            name: _figures(scores(predictions_of(baseline, table)))
            for name, baseline in baselines.items()
        },
    }


def cross_validated(
    recipe: Recipe, baselines: Mapping[str, Recipe], table: Table, *, folds: int, seed: int
) -> dict[str, Any]:
    """Train and measure `recipe`, and baselines by name, over shuffled folds of `table`.

    Of each figure: mean and standard deviation over the folds, and the figure of all rows pooled.
    A small fold overstates the calibration error, whose bins are then nearly empty; the pooled
    figure is the one to look at there.
    """
    return {
        "folds": folds,
        "seed": seed,
        **_over_folds(recipe, table, folds=folds, seed=seed),
        "baselines": {
            name: _over_folds(baseline, table, folds=folds, seed=seed)
            for name, baseline in baselines.items()
        },
    }


def _over_folds(recipe: Recipe, table: Table, *, folds: int, seed: int) -> dict[str, Any]:
    parts = list(_fold_predictions(recipe, table, folds=folds, seed=seed))
    each = [scores(part) for part in parts]
    pooled = scores(_pooled(parts))
    return {name: _spread([one[name] for one in each], pooled[name]) for name in FIGURES}


def _fold_predictions(
    recipe: Recipe, table: Table, *, folds: int, seed: int
) -> Iterator[Predictions]:
    # Shuffled: the data set is sorted by class and size, and unshuffled folds would extrapolate.
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for inside, outside in splitter.split(table.rows, table.labels):
        train = table.take(inside)
        yield predictions_of(recipe().fit(train.rows, train.labels), table.take(outside))


def _pooled(parts: list[Predictions]) -> Predictions:
    chances = [part.probabilities for part in parts if part.probabilities is not None]
    return Predictions(
        classes=parts[0].classes,
        truth=np.concatenate([part.truth for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate(chances) if chances else None,
    )


def _spread(values: list[float | None], pooled: float | None) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if pooled is None or not known:
        return None
    mean, deviation = float(np.mean(known)), float(np.std(known, ddof=1))
    return {"mean": round(mean, 5), "sd": round(deviation, 5), "pooled": pooled}


def _figures(all_scores: dict[str, Any]) -> dict[str, Any]:
    return {name: all_scores[name] for name in FIGURES}
