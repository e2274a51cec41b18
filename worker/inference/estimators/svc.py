"""Reads fitted SVCs, and pipelines that end in one, into expansions."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from worker.inference.decisions import Decision, Votes
from worker.inference.estimators.transforms import Step, read_step
from worker.inference.kernels.expansion import UNIT, Expansion, Group
from worker.inference.predictor import Floats

Steps: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelTerm:
    """An expansion over rows that went through `steps`."""

    steps: Steps
    expansion: Expansion


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearHead:
    """Puts scores before the outputs: outputs @ weights + bias.

    `weights` (outputs, scores); `bias` and `slack` (scores,): what scikit-learn rounds whatever
    the outputs are. `depth` bounds how often it rounds each term.
    """

    weights: Floats
    bias: Floats
    slack: Floats
    depth: int

    def __call__(self, values: Floats, errors: Floats) -> tuple[Floats, Floats]:
        """Lift values and error bounds, (n, outputs) each, to (n, scores + outputs)."""
        most = errors + UNIT * self.depth * np.abs(values)
        scores, wrong = values @ self.weights + self.bias, most @ np.abs(self.weights) + self.slack
        return np.hstack([scores, values]), np.hstack([wrong, errors])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SvcFunction:
    """A decision over the sum of all `sources` and `bias` (outputs,), lifted if there is a `lift`.

    `slack` (outputs,) bounds the roundings that the bias adds to scikit-learn's sums.
    """

    sources: tuple[KernelTerm, ...]
    bias: Floats
    slack: Floats
    decision: Decision
    head: LinearHead | None = None

    def folded(self) -> "SvcFunction":
        """Return the same model with the lift's weights in the coefficients of the kernels."""
        if self.head is None:
            return self
        weights = np.hstack([self.head.weights, np.eye(len(self.bias))])
        scores = np.concatenate([self.head.bias, np.zeros(len(self.bias))])
        slack = np.concatenate([self.head.slack, np.zeros(len(self.bias))])
        depth = UNIT * self.head.depth * np.abs(self.bias)
        return replace(
            self,
            sources=tuple(
                replace(source, expansion=source.expansion.weighted(weights, self.head.depth))
                for source in self.sources
            ),
            bias=self.bias @ weights + scores,
            slack=(self.slack + depth) @ np.abs(weights) + slack,
            head=None,
        )


def open_pipeline(estimator: Any) -> tuple[Steps, Any] | None:  # noqa: ANN401 - any estimator
    """Part a pipeline into transformers and last estimator; None when a transformer is unknown."""
    if type(estimator) is not Pipeline:
        return (), estimator
    used = [step for _, step in estimator.steps[:-1] if step is not None and step != "passthrough"]
    steps = [read_step(transformer) for transformer in used]
    known = tuple(step for step in steps if step is not None)
    return (known, estimator.steps[-1][1]) if len(known) == len(steps) else None


def has_known_margins(svc: Any) -> bool:  # noqa: ANN401 - any estimator
    """Return whether this is a dense SVC with a kernel that is known here."""
    return (
        type(svc) is SVC
        and svc.kernel in ("linear", "poly", "rbf", "sigmoid")
        and isinstance(svc.dual_coef_, np.ndarray)
        and len(svc.support_vectors_) > 0
    )


def read_margins(svc: Any) -> tuple[Expansion, Floats]:  # noqa: ANN401 - an SVC
    """Read libsvm's decision values and their bias, one for each pair of classes i < j.

    A support vector of class i meets class j with the coefficient in row j - 1 of its column, one
    of class j meets class i with that in row i (`predict_values` in svm.cpp). The attributes with
    an underscore are libsvm's own; the public ones change their sign for two classes.
    """
    classes, linear = len(svc.classes_), svc.kernel == "linear"
    cuts = np.cumsum(svc.n_support_)[:-1]
    points = np.split(svc.support_vectors_, cuts)
    coefs = np.split(svc._dual_coef_.T, cuts)
    first, second = np.triu_indices(classes, k=1)
    sums = classes - 1
    expansion = Expansion(
        kernel=svc.kernel,
        groups=tuple(
            Group(points=p, coefs=c, sizes=np.abs(c)) for p, c in zip(points, coefs, strict=True)
        ),
        picks=np.stack([first * sums + second - 1, second * sums + first]),
        depth=0,
        gamma=1.0 if linear else float(svc._gamma),  # noqa: SLF001 - what "scale" came to
        degree=int(svc.degree) if svc.kernel == "poly" else 1,
        offset=float(svc.coef0) if svc.kernel in ("poly", "sigmoid") else 0.0,
    )
    return expansion, np.asarray(svc._intercept_, dtype=np.float64)


def read_votes(steps: Steps, svc: Any) -> SvcFunction:  # noqa: ANN401 - an SVC
    """Read an SVC that stands alone: its label is decided by votes."""
    expansion, bias = read_margins(svc)
    return SvcFunction(
        sources=(KernelTerm(steps=steps, expansion=expansion),),
        bias=bias,
        slack=4.0 * UNIT * np.abs(bias),
        decision=Votes.among(len(svc.classes_)),
    )
