"""Reads a logistic regression over the margins of SVCs (`StackingClassifier`) into expansions.

Its scores are weighted sums of margins, and those are sums of kernels: the weights are folded into
the coefficients, and as many outputs are left as there are classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from worker.inference.decisions import Highest, Positive
from worker.inference.expansion import UNIT, Expansion, Group
from worker.inference.predictor import Floats
from worker.inference.svc import (
    Model,
    Source,
    Steps,
    has_known_margins,
    open_pipeline,
    read_margins,
)

_BINARY = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scores:
    """Scores as (meta - mean) @ weights + bias, over meta features (n, metas).

    `weights` (metas, outputs); `mean` (metas,); `bias` (outputs,).
    """

    weights: Floats
    mean: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some meta features: `sign` times sums of kernels and `bias`."""

    steps: Steps
    expansion: Expansion
    bias: Floats
    sign: float = 1.0


def read_stack(steps: Steps, stack: Any) -> Model | None:  # noqa: ANN401 - a StackingClassifier
    """Read `stack`, whose rows go through `steps` first; None when a part is not known here."""
    scores = _read_scores(stack)
    bases = [base for base in map(open_pipeline, stack.estimators_) if base is not None]
    if scores is None or len(bases) < len(stack.estimators_):
        return None
    if not all(_gives_margins(svc) for _, svc in bases):
        return None
    if any(method != "decision_function" for method in stack.stack_method_):
        return None
    parts = [_margins((*steps, *inner), svc) for inner, svc in bases]
    if stack.passthrough:
        parts.append(_columns(steps, stack.n_features_in_))
    return _fold(scores, parts)


def _gives_margins(svc: Any) -> bool:  # noqa: ANN401 - any estimator
    """Tell whether `decision_function` gives libsvm's margins as they are."""
    return has_known_margins(svc) and (
        svc.decision_function_shape == "ovo" or len(svc.classes_) == _BINARY
    )


def _read_scores(stack: Any) -> _Scores | None:  # noqa: ANN401 - a StackingClassifier
    """Read the final estimator: a logistic regression, alone or behind a `StandardScaler`."""
    final, scaler = stack.final_estimator_, None
    if type(final) is Pipeline and len(final.steps) == 2:  # noqa: PLR2004 - scaler and regression
        scaler, final = final.steps[0][1], final.steps[1][1]
    if type(final) is not LogisticRegression or type(scaler) not in (StandardScaler, type(None)):
        return None
    if not np.array_equal(final.classes_, np.arange(len(stack.classes_))):
        return None
    metas = final.coef_.shape[1]
    mean, scale = getattr(scaler, "mean_", None), getattr(scaler, "scale_", None)
    return _Scores(
        weights=final.coef_.T / (np.ones((metas, 1)) if scale is None else scale[:, None]),
        mean=np.zeros(metas) if mean is None else mean,
        bias=np.asarray(final.intercept_, dtype=np.float64),
    )


def _margins(steps: Steps, svc: Any) -> _Part:  # noqa: ANN401 - an SVC
    """Give an SVC's margins; scikit-learn changes their sign for two classes."""
    expansion, bias = read_margins(svc)
    sign = -1.0 if len(svc.classes_) == _BINARY else 1.0
    return _Part(steps=steps, expansion=expansion, bias=bias, sign=sign)


def _columns(steps: Steps, features: int) -> _Part:
    """Give the rows' own columns (`passthrough`)."""
    unit = np.eye(features)
    return _Part(
        steps=steps,
        expansion=Expansion(
            kernel="linear",
            groups=(Group(points=unit, coefs=unit, sizes=unit),),
            picks=np.arange(features)[None],
            depth=0,
        ),
        bias=np.zeros(features),
    )


def _fold(scores: _Scores, parts: list[_Part]) -> Model:
    """Weigh the parts' meta features, which come in this order, into scores.

    scikit-learn rounds a meta feature, its centring and scaling, its product with the weight, and
    the sum over all of them: `depth` times a term that is no greater than its size.
    """
    metas, outputs = scores.weights.shape
    depth = metas + 8
    bias = scores.bias - scores.mean @ scores.weights
    size = np.abs(scores.bias) + np.abs(scores.mean) @ np.abs(scores.weights)
    sources: list[Source] = []
    start = 0
    for part in parts:
        weights = part.sign * scores.weights[start : start + len(part.bias)]
        start += len(part.bias)
        bias = bias + part.bias @ weights
        size = size + np.abs(part.bias) @ np.abs(weights)
        sources.append(Source(steps=part.steps, expansion=part.expansion.weighted(weights, depth)))
    return Model(
        sources=tuple(sources),
        bias=bias,
        slack=2.0 * depth * UNIT * size,
        decision=Positive() if outputs == 1 else Highest(),
    )
