"""What the fast predictor does with models it cannot take, and with rows nobody can label."""

import multiprocessing
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, StandardScaler
from sklearn.svm import SVC

from tests.unit.inference_samples import a_stack, a_table, an_svc, labels_of, some_rows
from worker.inference import RowsRefused, compile_predictor
from worker.inference.cascade import Cascade
from worker.inference.predictor import StockPredictor

ODD = np.array([0.0, -0.0, 5e-324, -1e-310, 1e-160, 1e19, -1e38, 4e38, 1e150, -1e200, 1e300])
"""Numbers that vanish or overflow somewhere on the way: in float32, when squared, or cubed."""


def an_odd_kernel(left: Any, right: Any) -> Any:
    """Return a kernel that only scikit-learn can compute."""
    return left @ right.T


class AnotherSVC(SVC):  # type: ignore[misc] # scikit-learn ships no types
    """May decide in a way of its own."""

    def predict(self, rows: Any) -> Any:
        """Return the class that SVC would not."""
        return self.classes_[(super().predict(rows) == self.classes_[0]).astype(int)]


def odd_rows(features: int = 5) -> Any:
    """Return ordinary rows in which one number, or all, are odd."""
    ordinary = some_rows(count=len(ODD) * features)
    mixed = ordinary.copy()
    mixed[np.arange(len(mixed)), np.arange(len(mixed)) % features] = np.repeat(ODD, features)
    return np.vstack([mixed, np.repeat(ODD[:, None], features, axis=1)])


FOREIGN: dict[str, Callable[[], Any]] = {
    "a forest": lambda: RandomForestClassifier(5, random_state=0),
    "ties broken by margins": lambda: SVC(break_ties=True),
    "a kernel of one's own": lambda: SVC(kernel=an_odd_kernel),
    "an unknown transformer": lambda: make_pipeline(FunctionTransformer(np.tanh), SVC()),
    "a subclass of SVC": AnotherSVC,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_classifiers_answer_for_themselves(kind: str) -> None:
    """A model that is not known here is asked as it is."""
    model = FOREIGN[kind]().fit(*a_table())
    predictor = compile_predictor(model)

    assert isinstance(predictor, StockPredictor)
    assert predictor.supports_probabilities == hasattr(model, "predict_proba")
    assert (labels_of(predictor, some_rows()) == model.predict(some_rows())).all()


def test_a_regression_on_votes_answers_for_itself() -> None:
    """Margins of the shape `ovr` are not sums of kernels, so such a stack is not taken."""
    stack = a_stack(SVC(decision_function_shape="ovr"))
    predictor = compile_predictor(stack)

    assert isinstance(predictor, StockPredictor)
    assert (predictor.predict_proba(some_rows()) == stack.predict_proba(some_rows())).all()


@pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning")
def test_an_svc_with_probabilities_gives_those_of_scikit_learn() -> None:
    """Labels still come from the votes; libsvm's own probabilities come from libsvm."""
    svc = an_svc(probability=True, random_state=0)
    predictor, rows = compile_predictor(svc), some_rows()

    assert predictor.supports_probabilities
    assert (predictor.predict_proba(rows) == svc.predict_proba(rows)).all()
    assert (labels_of(predictor, rows) == svc.predict(rows)).all()


def test_an_svc_without_probabilities_says_so() -> None:
    """Votes are not turned into probabilities."""
    assert not compile_predictor(an_svc()).supports_probabilities


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly", "sigmoid"])
@pytest.mark.parametrize("scaled", [False, True])
def test_huge_and_tiny_numbers_get_the_label_of_scikit_learn(kernel: str, *, scaled: bool) -> None:
    """What overflows or vanishes on our way gets scikit-learn's label, and nothing warns."""
    svc = SVC(kernel=kernel, gamma=0.01)
    model = (make_pipeline(StandardScaler(), svc) if scaled else svc).fit(*a_table())
    rows = odd_rows()
    with np.errstate(all="ignore"):
        expected = model.predict(rows)

    assert isinstance(compile_predictor(model), Cascade)
    assert (labels_of(compile_predictor(model), rows) == expected).all()


def test_rows_that_scikit_learn_refuses_are_named() -> None:
    """NaN and infinity are refused by their index, and so is what overflows in a transformer."""
    model = make_pipeline(PowerTransformer(), SVC()).fit(*a_table())
    model[0].lambdas_[1] = 40.0  # a number of 1e30 in this column will overflow
    rows = some_rows(count=5000)
    rows[7, 0], rows[4000, 3], rows[4999, 1] = np.nan, -np.inf, 1e30

    with pytest.raises(RowsRefused) as refusal:
        compile_predictor(model).predict(rows)

    assert refusal.value.rows.tolist() == [7, 4000, 4999]
    others = np.delete(rows, refusal.value.rows, axis=0)
    assert (labels_of(compile_predictor(model), others) == model.predict(others)).all()


def test_rows_whose_margins_overflow_are_named() -> None:
    """A regression refuses infinite margins, which only scikit-learn's own answer shows."""
    stack = a_stack(SVC(kernel="poly", decision_function_shape="ovo"))
    rows = some_rows(count=3000)
    rows[[5, 2999]] = 1e200

    with pytest.raises(RowsRefused) as refusal:
        compile_predictor(stack).predict(rows)

    assert refusal.value.rows.tolist() == [5, 2999]


def test_probabilities_that_are_not_certain_come_from_scikit_learn() -> None:
    """With bounds a thousand million times as wide, no score is known well enough."""
    stack = a_stack(SVC(decision_function_shape="ovo"))
    careful, rows = compile_predictor(stack, caution=1e9), some_rows()

    assert (careful.predict_proba(rows) == stack.predict_proba(rows)).all()
    assert (compile_predictor(stack).predict_proba(rows) != stack.predict_proba(rows)).any()


def test_other_classifiers_name_refused_rows_too() -> None:
    """Rows that a forest cannot take (beyond float32) are found among those it can."""
    forest = RandomForestClassifier(5, random_state=0).fit(*a_table())
    rows = some_rows(count=100)
    rows[[3, 71], 2] = 1e300

    with pytest.raises(RowsRefused) as refusal:
        compile_predictor(forest).predict(rows)

    assert refusal.value.rows.tolist() == [3, 71]


@pytest.mark.parametrize("model", [an_svc(), RandomForestClassifier(2).fit(*a_table())])
def test_a_table_of_the_wrong_width_is_an_error(model: Any) -> None:
    """Too few columns are the caller's mistake, not the rows'."""
    with pytest.raises(ValueError, match=r"features|shape|broadcast"):
        compile_predictor(model).predict(some_rows(count=600)[:, :3])


@pytest.mark.parametrize("model", [an_svc(), a_stack(SVC(decision_function_shape="ovo"))])
def test_no_rows_have_no_labels(model: Any) -> None:
    """An empty table is answered with an empty one."""
    predictor = compile_predictor(model)

    assert predictor.predict(np.empty((0, 5))).shape == (0,)
    if predictor.supports_probabilities:
        assert predictor.predict_proba(np.empty((0, 5))).shape == (0, 3)


@pytest.mark.parametrize("last", [SVC(), RandomForestClassifier(5, random_state=0)])
def test_a_model_of_named_columns_takes_bare_rows(last: Any) -> None:
    """A model fitted on a table with column names gives its labels, and nothing warns."""
    table, labels = a_table()
    named = pd.DataFrame(table, columns=list("abcde"))
    model = make_pipeline(StandardScaler(), last).fit(named, labels)
    rows = some_rows()
    expected = model.predict(pd.DataFrame(rows, columns=list("abcde")))

    assert (labels_of(compile_predictor(model), rows) == expected).all()


def test_rows_are_not_changed() -> None:
    """Transformers that may work in place work on a copy."""
    base = make_pipeline(StandardScaler(copy=False), SVC(decision_function_shape="ovo"))
    rows = some_rows()
    before = rows.copy()
    predictor = compile_predictor(a_stack(base))
    predictor.predict(rows)
    predictor.predict_proba(rows)

    assert (rows == before).all()


def test_memory_is_bounded_whatever_the_number_of_rows() -> None:
    """Beside its answer, a prediction needs a few blocks: below 16 MB."""
    predictor = compile_predictor(a_stack(SVC(decision_function_shape="ovo"), classes=7))
    rows = some_rows(classes=7, count=300_000)
    tracemalloc.start()
    predictor.predict(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 16e6 + 2 * len(rows) * np.dtype(np.intp).itemsize


def test_a_forked_child_predicts_after_its_parent_did() -> None:
    """A worker's children use the model that the parent has loaded and tried."""
    svc = an_svc(7)
    predictor, rows = compile_predictor(svc), some_rows(7, 5000)
    expected = predictor.predict(rows)

    with multiprocessing.get_context("fork").Pool(1) as pool:
        answer = pool.apply_async(predictor.predict, (rows,)).get(timeout=600)

    assert (answer == expected).all()
