"""Regressions on margins, in each form that is computed here, answer as scikit-learn's do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, StandardScaler
from sklearn.svm import SVC

from tests.unit.inference_samples import a_stack, a_table, border_rows, labels_of, some_rows
from worker.inference import compile_predictor
from worker.inference.cascade import Cascade
from worker.inference.predictor import StockPredictor

REGRESSION = LogisticRegression(max_iter=20_000)


def squashed(*between: Any, function: Any = np.tanh) -> Any:
    """Return a regression on margins and their tanh."""
    union = FeatureUnion([("as is", "passthrough"), ("squashed", FunctionTransformer(function))])
    return make_pipeline(union, *between, REGRESSION)


FINALS = {
    "plain": REGRESSION,
    "scaled": make_pipeline(StandardScaler(), REGRESSION),
    "squashed": squashed(),
    "squashed and scaled": squashed(StandardScaler()),
}


def picked(*columns: int) -> ColumnTransformer:
    """Return a transformer that keeps some columns."""
    return ColumnTransformer([("used", "passthrough", list(columns))])


def an_ovo(**parameters: Any) -> SVC:
    """Return an SVC that yields a margin for each pair of classes."""
    return SVC(decision_function_shape="ovo", **parameters)


def assert_same(model: Any, classes: int) -> None:
    """Compare labels, also on boundaries, and probabilities."""
    rows = np.vstack([some_rows(classes), border_rows(model.predict, some_rows(classes, 100))])
    predictor = compile_predictor(model)

    assert isinstance(predictor, Cascade)
    assert (labels_of(predictor, rows) == model.predict(rows)).all()
    assert np.abs(predictor.predict_proba(rows) - model.predict_proba(rows)).max() < 1e-6


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("final", FINALS)
def test_a_regression_on_margins_is_predicted_as_by_scikit_learn(classes: int, final: str) -> None:
    """Labels of a stack are scikit-learn's, and probabilities within 1e-6 of scikit-learn's."""
    base = make_pipeline(StandardScaler(), an_ovo())

    assert_same(a_stack(base, final=FINALS[final], classes=classes), classes)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("final", ["plain", "scaled"])
def test_a_regression_may_see_the_columns_too(classes: int, final: str) -> None:
    """`passthrough` adds the rows' own columns to the margins."""
    base = make_pipeline(StandardScaler(), an_ovo())

    assert_same(a_stack(base, final=FINALS[final], classes=classes, passthrough=True), classes)


def test_a_regression_may_use_the_margins_of_several_svcs() -> None:
    """Two bases with kernels, scalers and a scaler in front of both add up."""
    bases = make_pipeline(PowerTransformer(), an_ovo(C=5.0)), an_ovo(kernel="linear")
    stack = a_stack(*bases, classes=4, passthrough=True)

    assert_same(make_pipeline(StandardScaler(), stack).fit(*a_table(4)), 4)


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
def test_an_svc_may_use_some_of_the_columns(kernel: str) -> None:
    """The default model's form: some columns, a power transform, and tanh of the margins."""
    base = make_pipeline(picked(3, 0, 1), PowerTransformer(), an_ovo(kernel=kernel))

    assert_same(a_stack(base, final=squashed(), classes=4), 4)


FOREIGN: dict[str, Callable[[], Any]] = {
    "another function": lambda: a_stack(an_ovo(), final=squashed(function=np.arctan)),
    "tanh of columns too": lambda: a_stack(an_ovo(), final=squashed(), passthrough=True),
    "tanh of two SVCs": lambda: a_stack(an_ovo(), an_ovo(C=2.0), final=squashed()),
    "scaled columns": lambda: a_stack(
        make_pipeline(ColumnTransformer([("scaled", StandardScaler(), [0, 1])]), an_ovo())
    ),
    "columns put last": lambda: a_stack(
        make_pipeline(
            ColumnTransformer([("scaled", "drop", [0])], remainder="passthrough"), an_ovo()
        )
    ),
    "a forgotten step": lambda: a_stack(
        an_ovo(), final=make_pipeline(PowerTransformer(), REGRESSION)
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_stacks_answer_for_themselves(kind: str) -> None:
    """What is not known here goes to scikit-learn whole."""
    stack, rows = FOREIGN[kind](), some_rows()
    predictor = compile_predictor(stack)

    assert isinstance(predictor, StockPredictor)
    assert (labels_of(predictor, rows) == stack.predict(rows)).all()
