"""Trains a model on a table, measures it on rows it has not seen, and releases it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.model_selection import train_test_split

from shared.models.registry import version_numbers
from worker.models.artifacts import Estimator
from worker.training.evaluation import Recipe, cross_validated, held_out
from worker.training.recipes import logistic, majority
from worker.training.release import Release, choose_version, release
from worker.training.table import Table

BASELINES: Final[Mapping[str, Recipe]] = {"majority": majority, "logistic_regression": logistic}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A model to be trained: `recipe` makes the classifier for a seed.

    It is published as `version` where that is free, else as the next one. `chosen` says how it was
    chosen, `default` whether the plain name stands for it, `in_folds` whether it is cross-validated
    too, which trains it many times over.
    """

    name: str
    version: int
    default: bool
    in_folds: bool
    description: str
    label_rule: str
    chosen: str
    recipe: Callable[[int], Estimator]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which rows are for training and which are held out; `rule` says it in words."""

    rule: str
    train: Table
    test: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted model, what it was fitted to, and its figures."""

    plan: Plan
    estimator: Estimator
    split: Split
    seed: int
    metrics: Mapping[str, Any]


def walkthrough_split(table: Table) -> Split:
    """Split as the walkthrough does: 30 % of the rows are held out, always the same ones."""
    train, test = train_test_split(np.arange(len(table.rows)), test_size=0.3, random_state=17)
    return Split(
        rule="train_test_split(test_size=0.3, random_state=17)",
        train=table.take(train),
        test=table.take(test),
    )


def train(plan: Plan, table: Table, *, seed: int, folds: int) -> Trained:
    """Fit the plan's recipe to the training part of `table` and measure it.

    It is measured on the held-out part, and, when the plan wants it and `folds` is not 0, by
    training it anew on shuffled folds of the whole table. The same seed gives the same model.
    """
    split = walkthrough_split(table)
    fitted = _fit(plan.recipe(seed), split.train)
    baselines = {name: _fit(recipe(), split.train) for name, recipe in BASELINES.items()}
    metrics: dict[str, Any] = {
        "held_out": {"split": split.rule, **held_out(fitted, baselines, split.test)}
    }
    if folds and plan.in_folds:
        metrics["cross_validation"] = cross_validated(
            lambda: plan.recipe(seed), BASELINES, table, folds=folds, seed=seed
        )
    return Trained(plan=plan, estimator=fitted, split=split, seed=seed, metrics=metrics)


def release_trained(
    root: Path,
    trained: Trained,
    data: str,
    *,
    keep_default: bool = False,
    replace_unpublished: bool = False,
) -> Path:
    """Write the artifact as a version of its own; `data` says what it learned from.

    `keep_default` leaves the plain name as it is. With `replace_unpublished` the newest version is
    written over as long as it is not published.
    """
    plan, split = trained.plan, trained.split
    version = plan.version
    if version in version_numbers(root / plan.name):
        version = choose_version(root, plan.name, replace_unpublished=replace_unpublished)
    about = Release(
        name=plan.name,
        version=version,
        description=plan.description,
        label_rule=plan.label_rule,
        metrics=trained.metrics,
        training={
            "data": data,
            "rows": len(split.train.rows),
            "split": split.rule,
            "seed": trained.seed,
            "chosen": plan.chosen,
            "model": " ".join(repr(plan.recipe(trained.seed)).split()),
        },
        default=plan.default and not keep_default,
        replace_unpublished=replace_unpublished,
    )
    return release(root, about, trained.estimator, split.train)


def _fit(model: Estimator, table: Table) -> Estimator:
    return model.fit(table.rows, table.labels)
