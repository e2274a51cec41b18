"""Reads a logistic regression over the margins of SVCs (`StackingClassifier`) into expansions.

Its scores are weighted sums of margins, and those are sums of kernels: the weights are folded into
the coefficients, and as many outputs are left as there are classes. If it weighs tanh of the
margins of one SVC too, the margins stay and the scores are lifted from them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from worker.inference.decisions import Argmax, Positive, TanhMargins
from worker.inference.estimators.svc import (
    KernelTerm,
    LinearHead,
    Steps,
    SvcFunction,
    has_known_margins,
    open_pipeline,
    read_margins,
)
from worker.inference.kernels.expansion import UNIT, Expansion, Group
from worker.inference.predictor import Floats

_BINARY = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scores:
    """Scores as meta @ weights + tanh(meta) @ tangents + bias, over meta features (n, metas).

    `weights` and `tangents` (metas, outputs); `bias` (outputs,), and `size`, how large the terms
    are that it is made of. scikit-learn rounds each term `depth` times at most.
    """

    weights: Floats
    tangents: Floats
    bias: Floats
    size: Floats
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some meta features: `sign` times sums of kernels and `bias`."""

    steps: Steps
    expansion: Expansion
    bias: Floats
    sign: float = 1.0


def read_stack(steps: Steps, stack: Any) -> SvcFunction | None:  # noqa: ANN401 - a StackingClassifier
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
    if scores.tangents.any():
        return None if stack.passthrough or len(parts) > 1 else _lift(scores, parts[0])
    if stack.passthrough:
        parts.append(_columns(steps, stack.n_features_in_))
    return _fold(scores, parts)


def _gives_margins(svc: Any) -> bool:  # noqa: ANN401 - any estimator
    """Return whether `decision_function` gives libsvm's margins as they are."""
    return has_known_margins(svc) and (
        svc.decision_function_shape == "ovo" or len(svc.classes_) == _BINARY
    )


def _read_scores(stack: Any) -> _Scores | None:  # noqa: ANN401 - a StackingClassifier
    """Read the final estimator: a regression, behind a union of tanh and a scaler, or neither."""
    final = stack.final_estimator_
    *steps, regression = [s for _, s in final.steps] if type(final) is Pipeline else [final]
    union = _read_union(steps.pop(0)) if steps and type(steps[0]) is FeatureUnion else (False,)
    scaler = steps.pop(0) if steps and type(steps[0]) is StandardScaler else None
    if steps or union is None or type(regression) is not LogisticRegression:
        return None
    if not np.array_equal(regression.classes_, np.arange(len(stack.classes_))):
        return None
    weights = regression.coef_.T
    bias, size = regression.intercept_, np.abs(regression.intercept_)
    if scaler is not None and scaler.scale_ is not None:
        weights = weights / scaler.scale_[:, None]
    if scaler is not None and scaler.mean_ is not None:
        bias, size = bias - scaler.mean_ @ weights, size + np.abs(scaler.mean_) @ np.abs(weights)
    blocks = np.split(weights, len(union))
    zero = np.zeros_like(blocks[0])
    return _Scores(
        weights=sum((b for b, squashed in zip(blocks, union, strict=True) if not squashed), zero),
        tangents=sum((b for b, squashed in zip(blocks, union, strict=True) if squashed), zero),
        bias=bias,
        size=size + np.abs(weights).sum(axis=0),
        depth=len(weights) + 8,
    )


def _read_union(union: Any) -> tuple[bool, ...] | None:  # noqa: ANN401 - a FeatureUnion
    """Tell for each part of a union whether it squashes (tanh); None if one does something else."""
    if union.transformer_weights:
        return None
    functions = [_function_of(part) for _, part in union.transformer_list]
    known = all(function in (None, np.tanh) for function in functions)
    return tuple(function is np.tanh for function in functions) if known else None


def _function_of(part: Any) -> Any:  # noqa: ANN401 - what a FunctionTransformer calls
    """Return the function that a part of a union applies; None when it passes numbers through."""
    if part == "passthrough":
        return None
    plain = type(part) is FunctionTransformer and not part.kw_args and not part.validate
    return part.func if plain else part


def _margins(steps: Steps, svc: Any) -> _Part:  # noqa: ANN401 - an SVC
    """Return an SVC's margins; scikit-learn changes their sign for two classes."""
    expansion, bias = read_margins(svc)
    sign = -1.0 if len(svc.classes_) == _BINARY else 1.0
    return _Part(steps=steps, expansion=expansion, bias=bias, sign=sign)


def _columns(steps: Steps, features: int) -> _Part:
    """Return the rows' own columns (`passthrough`)."""
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


def _fold(scores: _Scores, parts: list[_Part]) -> SvcFunction:
    """Weigh the parts' meta features, which come in this order, into scores."""
    bias, size = scores.bias, scores.size
    sources: list[KernelTerm] = []
    start = 0
    for part in parts:
        weights = part.sign * scores.weights[start : start + len(part.bias)]
        start += len(part.bias)
        bias = bias + part.bias @ weights
        size = size + np.abs(part.bias) @ np.abs(weights)
        expansion = part.expansion.weighted(weights, scores.depth)
        sources.append(KernelTerm(steps=part.steps, expansion=expansion))
    return SvcFunction(
        sources=tuple(sources),
        bias=bias,
        slack=2.0 * scores.depth * UNIT * size,
        decision=_decision(scores),
    )


def _lift(scores: _Scores, part: _Part) -> SvcFunction:
    """Keep the margins, of which tanh must be taken, and lift scores from them."""
    return SvcFunction(
        sources=(KernelTerm(steps=part.steps, expansion=part.expansion),),
        bias=part.bias,
        slack=4.0 * UNIT * np.abs(part.bias),
        decision=TanhMargins(tangents=part.sign * scores.tangents, scores=_decision(scores)),
        head=LinearHead(
            weights=part.sign * scores.weights,
            bias=scores.bias,
            slack=2.0 * scores.depth * UNIT * scores.size,
            depth=scores.depth,
        ),
    )


def _decision(scores: _Scores) -> Argmax | Positive:
    return Positive() if len(scores.bias) == 1 else Argmax()
