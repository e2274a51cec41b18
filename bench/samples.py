"""Rows for one-row jobs, with the labels that scikit-learn gives them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.generate import draw, read_examples
from bench.parts import MODELS
from shared.models.registry import ModelRegistry
from worker.models.artifacts import load

_COUNT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """`labels` are those of `rows`."""

    rows: list[list[float]]
    labels: list[str]


def read_samples() -> Samples:
    """Draw rows and label them with the default model's own estimator."""
    rows = next(draw(read_examples(), _COUNT))
    catalog = ModelRegistry.read(MODELS)
    model = load(catalog.folder(catalog.resolve("drybeans"))).estimator
    labels = [str(label) for label in np.asarray(model.predict(rows))]
    return Samples(rows=rows.tolist(), labels=labels)
