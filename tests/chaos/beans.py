"""Rows to predict, and the labels that scikit-learn itself gives them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from shared.models.registry import ModelRegistry
from worker.models.artifacts import load

MODEL_ROOT: Final = Path(__file__).parents[2] / "model_artifacts"
POISON: Final = 66666.625
"""A first number that kills the process which predicts it; see tests/chaos/worker.py."""

Row = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beans:
    """Many different rows; `labels` has scikit-learn's own label of each for each version."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    labels: Mapping[int, Sequence[str]]


def some_beans(count: int = 4000, seed: int = 11) -> Beans:
    """Make rows between the golden rows of the models, and ask scikit-learn about them."""
    catalog = ModelRegistry.read(MODEL_ROOT)
    manifests = [manifest for manifest in catalog.all() if manifest.name == "drybeans"]
    golden = np.array([row for manifest in manifests for row in manifest.golden.rows])
    random = np.random.default_rng(seed)
    first, second = (golden[random.integers(len(golden), size=count)] for _ in range(2))
    share = random.uniform(size=(count, 1))
    rows = (first * share + second * (1 - share)) * random.normal(1, 0.01, size=(count, 1))
    labels = {}
    for manifest in manifests:
        estimator = load(catalog.folder(manifest)).estimator
        labels[manifest.version] = [str(label) for label in estimator.predict(rows)]
    return Beans(
        columns=tuple(feature.name for feature in manifests[0].features),
        rows=[tuple(row) for row in rows.tolist()],
        labels=labels,
    )


def poison_row(beans: Beans, chance: random.Random) -> Row:
    """Make a row that kills whoever predicts it."""
    return (POISON, *chance.choice(beans.rows)[1:])
