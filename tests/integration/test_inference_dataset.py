"""The fast predictor agrees with scikit-learn on the real beans, with the published models."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from shared.models.registry import ModelRegistry
from tests.unit.inference_samples import border_rows, labels_of
from worker.inference import compile_predictor
from worker.inference.cascade import Cascade
from worker.models.artifacts import load

pytestmark = pytest.mark.dataset

Floats = NDArray[np.float64]
ARTIFACTS = Path(__file__).parents[2] / "model_artifacts"
VERSIONS = sorted(manifest.version for manifest in ModelRegistry.read(ARTIFACTS).all())


def load_model(version: int) -> tuple[Any, Cascade]:
    """Return a published model and its predictor, which must be the fast one."""
    estimator = load(ARTIFACTS / "drybeans" / str(version)).estimator
    predictor = compile_predictor(estimator)
    assert isinstance(predictor, Cascade)
    return estimator, predictor


def beans(dataset: Path) -> Floats:
    """Return the measurements of all beans, (13611, 16)."""
    return np.ascontiguousarray(pd.read_csv(dataset).iloc[:, :16], dtype=np.float64)


def jittered(rows: Floats, count: int, *, share: float) -> Floats:
    """Return `count` rows drawn from `rows`, each number changed by about `share` of itself."""
    chance = np.random.default_rng(0)
    drawn = rows[chance.integers(len(rows), size=count)]
    return np.asarray(drawn * (1.0 + share * chance.standard_normal(drawn.shape)))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_real_bean_has_the_label_of_scikit_learn(dataset: Path, version: int) -> None:
    """All 13,611 rows, label for label."""
    estimator, predictor = load_model(version)
    rows = beans(dataset)

    assert len(rows) == 13_611
    assert (labels_of(predictor, rows) == estimator.predict(rows)).all()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_real_bean_has_the_probabilities_of_scikit_learn(dataset: Path, version: int) -> None:
    """Within 1e-6, and the label is the most probable class."""
    estimator, predictor = load_model(version)
    rows = beans(dataset)
    if not predictor.supports_probabilities:
        pytest.skip("this version gives no probabilities")
    probabilities = predictor.predict_proba(rows)

    assert np.abs(probabilities - estimator.predict_proba(rows)).max() < 1e-6
    assert (probabilities.argmax(axis=1) == predictor.predict(rows)).all()


@pytest.mark.parametrize("version", VERSIONS)
def test_beans_on_a_boundary_have_the_label_of_scikit_learn(dataset: Path, version: int) -> None:
    """Hundreds of pairs of rows, one rounding apart, on both sides of a class's boundary."""
    estimator, predictor = load_model(version)
    rows = border_rows(estimator.predict, jittered(beans(dataset), 600, share=0.0))

    assert len(rows) > 500
    assert (labels_of(predictor, rows) == estimator.predict(rows)).all()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("share", [0.001, 0.05])
def test_a_million_jittered_beans_have_the_labels_of_scikit_learn(
    dataset: Path, version: int, share: float
) -> None:
    """Near the real beans and far from them; scikit-learn takes minutes for it."""
    estimator, predictor = load_model(version)
    rows = jittered(beans(dataset), 500_000, share=share)

    assert (labels_of(predictor, rows) == estimator.predict(rows)).all()
