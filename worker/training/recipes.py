"""The models that are trained here, not yet fitted."""

from typing import Final

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, StandardScaler
from sklearn.svm import SVC

from worker.models.artifacts import Estimator

_INNER_FOLDS: Final = 5
# Far below what a label hangs on: where a fit stops must not depend on a processor's rounding, or
# another machine trains another model from the same seed (docs/adr/0010).
_SVC_TOLERANCE: Final = 1e-6
_REGRESSION_TOLERANCE: Final = 1e-9
_ITERATIONS: Final = 5_000


def walkthrough() -> Estimator:
    """The walkthrough's model: a linear SVC on the raw columns."""
    return SVC(kernel="linear")


def stacked(svc: Estimator, *, seed: int) -> Estimator:
    """Return `svc`, which yields pairwise margins, probabilities from a regression on them.

    The regression learns from margins of rows that the SVC of its fold did not see. The folds are
    shuffled with `seed`, since the data set is sorted.
    """
    folds = StratifiedKFold(_INNER_FOLDS, shuffle=True, random_state=seed)
    return StackingClassifier(
        [("svc", svc)],
        final_estimator=margin_regression(),
        stack_method="decision_function",
        cv=folds,
    )


def kernel_svc(columns: tuple[int, ...], *, cost: float, gamma: float) -> Pipeline:
    """Make an RBF SVC on the power-transformed `columns`; it yields margins pair by pair."""
    return make_pipeline(
        ColumnTransformer([("used", "passthrough", list(columns))]),
        PowerTransformer(),
        SVC(C=cost, gamma=gamma, decision_function_shape="ovo", tol=_SVC_TOLERANCE),
    )


def margin_regression() -> Pipeline:
    """Make a multinomial regression on margins and on their hyperbolic tangents.

    A vote counts the sign of a margin and forgets its size, a linear term counts the size without
    an end; the tangent lies between. With both, the likeliest class is right about as often as
    the votes' winner, and probabilities are better than with margins alone.
    """
    both = FeatureUnion([("margins", "passthrough"), ("squashed", FunctionTransformer(np.tanh))])
    regression = LogisticRegression(
        solver="newton-cholesky", tol=_REGRESSION_TOLERANCE, max_iter=_ITERATIONS
    )
    return make_pipeline(both, regression)


def majority() -> Estimator:
    """The least that any model must beat: the most frequent class, and the classes' shares."""
    return DummyClassifier(strategy="prior")


def logistic() -> Estimator:
    """The plain alternative: a logistic regression on standardised columns."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ITERATIONS))
