"""The fast predictor gives scikit-learn's labels and probabilities."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC

from tests.unit.inference_samples import (
    KERNELS,
    a_table,
    an_svc,
    border_rows,
    labels_of,
    some_rows,
)
from worker.inference import compile_predictor
from worker.inference.cascade import Cascade

SCALERS = (
    StandardScaler(),
    MinMaxScaler(),
    RobustScaler(),
    MaxAbsScaler(),
    PowerTransformer(),
    QuantileTransformer(n_quantiles=20),
)


def a_cascade(estimator: Any, caution: float = 1.0) -> Cascade:
    """Compile an estimator that must not fall back to scikit-learn."""
    predictor = compile_predictor(estimator, caution=caution)
    assert isinstance(predictor, Cascade)
    return predictor


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("classes", [2, 3, 7, 10])
def test_every_label_is_that_of_the_svc(kernel: str, classes: int) -> None:
    """Whatever the kernel and the number of classes, each row has scikit-learn's label."""
    svc = an_svc(classes, **KERNELS[kernel])
    rows = some_rows(classes)

    assert (labels_of(a_cascade(svc), rows) == svc.predict(rows)).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_rows_on_a_boundary_have_the_label_of_the_svc(kernel: str, classes: int) -> None:
    """Rows that one rounding separates from another class still get scikit-learn's label."""
    svc = an_svc(classes, **KERNELS[kernel])
    rows = border_rows(svc.predict, some_rows(classes, 300))
    predictor = a_cascade(svc)

    assert (labels_of(predictor, rows) == svc.predict(rows)).all()
    assert predictor.unsettled(rows)[-1] > 0, "no row came near enough to a boundary"


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_without_caution_rows_on_a_boundary_get_wrong_labels(classes: int) -> None:
    """The error bounds are what makes the labels right: with bounds of zero some are wrong."""
    svc = an_svc(classes, **KERNELS["rbf"])
    rows = border_rows(svc.predict, some_rows(classes, 300))

    assert (labels_of(a_cascade(svc, caution=0.0), rows) != svc.predict(rows)).any()


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_scalers_may_stand_before_the_svc(scaler: Any) -> None:
    """Rows go through the pipeline's scalers exactly as in scikit-learn."""
    model = make_pipeline(scaler, StandardScaler(), SVC()).fit(*a_table(4))
    rows = np.vstack([some_rows(4), border_rows(model.predict, some_rows(4, 100))])

    assert (labels_of(a_cascade(model), rows) == model.predict(rows)).all()


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.sampled_from(sorted(KERNELS)),
    classes=st.integers(2, 10),
    penalty=st.sampled_from([1e-3, 0.1, 1.0, 30.0, 1e4]),
    gamma=st.sampled_from(["scale", "auto", 1e-4, 0.1, 10.0]),
    degree=st.integers(0, 5),
    offset=st.sampled_from([0.0, 1.0, -2.0]),
    scaler=st.sampled_from([None, *SCALERS]),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 1e-9, 1.0, 100.0, 1e6]),
)
def test_any_small_svc_is_predicted_as_by_scikit_learn(  # noqa: PLR0913, PLR0917 - what may vary
    kernel: Any,
    classes: int,
    penalty: float,
    gamma: Any,
    degree: int,
    offset: float,
    scaler: Any,
    seed: int,
    spread: float,
) -> None:
    """Parameters, scalers and rows of any kind: the labels are scikit-learn's."""
    table, labels = a_table(classes, 120, seed)
    svc = SVC(kernel=kernel, C=penalty, gamma=gamma, degree=degree, coef0=offset, max_iter=2000)
    model = make_pipeline(scaler, svc) if scaler else svc
    _fit_roughly(model, table, labels)
    chance = np.random.default_rng(seed)
    rows = table + spread * chance.normal(size=table.shape)

    assert (labels_of(compile_predictor(model), rows) == model.predict(rows)).all()


def _fit_roughly(model: Any, table: Any, labels: Any) -> None:
    """Fit without waiting for, or hearing of, convergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(table, labels)
