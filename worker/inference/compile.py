"""Chooses how a fitted estimator is best asked."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from sklearn.ensemble import StackingClassifier

from worker.inference.approximation.pairwise_bounds import pairwise_decision, sensitivity
from worker.inference.approximation.reduced_set import ReducedSet, reduce_expansion
from worker.inference.cascade import Cascade, Stage
from worker.inference.decisions import Argmax, TanhMargins
from worker.inference.estimators.stacking import read_stack
from worker.inference.estimators.svc import (
    SvcFunction,
    has_known_margins,
    open_pipeline,
    read_votes,
)
from worker.inference.kernels.dot import dot_evaluator
from worker.inference.kernels.expansion import UNIT, Evaluator, Expansion
from worker.inference.kernels.rbf import Precision, rbf_evaluator
from worker.inference.predictor import Floats, Predictor, StockPredictor

_TRIALS: Final = 128
_WORTH: Final = 0.1
"""Support vectors are the hardest rows: when a tenth of them is certain, most of all rows are."""


def compile_predictor(estimator: Any, *, caution: float = 1.0) -> Predictor:  # noqa: ANN401 - any scikit-learn classifier
    """Return the fastest predictor that answers as the fitted `estimator` does on every row.

    SVCs that decide by votes, logistic regressions on their margins, and pipelines of both with
    scalers are computed here; every other estimator answers for itself. `caution` scales the error
    bounds below which a row is computed more exactly: see `Cascade`.
    """
    stock = StockPredictor(estimator=estimator)
    model = _read(estimator)
    stages = _stages(model, caution) if model else ()
    if not stages:
        return stock
    width = int(estimator.n_features_in_)
    return Cascade(stock=stock, stages=stages, bound_scale=caution, width=width)


def _read(estimator: Any) -> SvcFunction | None:  # noqa: ANN401 - as above
    opened = open_pipeline(estimator)
    if opened is None:
        return None
    steps, last = opened
    if type(last) is StackingClassifier:
        return read_stack(steps, last)
    if has_known_margins(last) and not last.break_ties:
        return read_votes(steps, last)
    return None


def _stages(model: SvcFunction, caution: float) -> tuple[Stage, ...]:
    """Prepare the stages that are possible and pay, ending with float64; none without that."""
    exact = _stage(model, np.float64)
    if exact is None:
        return ()
    if all(source.expansion.kernel != "rbf" for source in model.sources):
        return (exact,)
    quick = _pairwise(model, None, caution) or _stage(model, np.float32)
    return tuple(
        stage for stage in (_approximate(model, caution), quick, exact) if stage is not None
    )


def _stage(model: SvcFunction, precision: Precision) -> Stage | None:
    machines = []
    for source in model.sources:
        machine = _evaluator(source.expansion, precision)
        if machine is None:
            return None
        machines.append((source.steps, machine))
    return Stage(
        evaluators=tuple(machines),
        bias=model.bias,
        slack=model.slack,
        decision=model.decision,
        head=model.head,
    )


def _approximate(model: SvcFunction, caution: float) -> Stage | None:
    """Prepare an approximation, if it settles enough of the hardest rows: the support vectors."""
    model = model if _supports_pairwise(model) else model.folded()
    source, *others = model.sources
    reduction = None if others else reduce_expansion(source.expansion)
    if reduction is None:
        return None
    stage = _pairwise(model, reduction, caution) or _approximation(model, reduction)
    if stage is None:
        return None
    trial = replace(stage, evaluators=(((), stage.evaluators[0][1]),))
    with np.errstate(all="ignore"):
        values, errors = trial.evaluate(source.expansion.points)
        _, sure = trial.decision.decide(values, caution * errors)
    return stage if sure.mean() > _WORTH else None


def _supports_pairwise(model: SvcFunction) -> bool:
    """Return whether scores of several classes add up margins and their tanh."""
    decision = model.decision
    return isinstance(decision, TanhMargins) and isinstance(decision.scores, Argmax)


def _pairwise(model: SvcFunction, reduction: ReducedSet | None, caution: float) -> Stage | None:
    """Prepare margins in float32, or an approximation of them, that decide by `rivals`."""
    decision, lift = model.decision, model.head
    if lift is None or not isinstance(decision, TanhMargins) or not _supports_pairwise(model):
        return None
    (source,) = model.sources
    expansion = reduction.expansion if reduction else source.expansion
    pulled = sensitivity(decision, lift)
    machine = _evaluator(expansion, np.float32, pulled)
    if machine is None:
        return None
    # What any margin may be wrong by besides, and what weighing it rounds, here and there.
    most = source.expansion.sizes.sum(axis=0) + np.abs(model.bias)
    wrong = model.slack + 2.0 * UNIT * lift.depth * most
    gram = np.zeros((len(wrong), len(wrong)))
    if reduction:
        wrong, gram = wrong + reduction.rounding, reduction.most
    return Stage(
        evaluators=((source.steps, machine),),
        bias=model.bias,
        slack=(wrong @ pulled).max(keepdims=True),
        decision=pairwise_decision(decision, lift, gram, caution),
    )


def _approximation(model: SvcFunction, reduction: ReducedSet) -> Stage | None:
    """Prepare approximate outputs, each of which may be wrong by its residual."""
    machine = _evaluator(reduction.expansion, np.float32)
    if machine is None:
        return None
    return Stage(
        evaluators=((model.sources[0].steps, machine),),
        bias=model.bias,
        slack=model.slack + reduction.distance,
        decision=model.decision,
    )


def _evaluator(
    expansion: Expansion, precision: Precision, pulled: Floats | None = None
) -> Evaluator | None:
    """Prepare one expansion; None when `precision` cannot hold it, or does not keep its bounds."""
    if expansion.kernel != "rbf":
        return dot_evaluator(expansion)
    machine = rbf_evaluator(expansion, precision, pulls=pulled)
    if machine is None or precision is np.float64:
        return machine
    exact = rbf_evaluator(expansion, np.float64, pulls=pulled)
    rows = expansion.points[:: max(1, len(expansion.points) // _TRIALS)]
    return machine if exact and keeps_bounds(machine, exact, rows, pulled) else None


def keeps_bounds(
    quick: Evaluator, exact: Evaluator, rows: Floats, pulled: Floats | None = None
) -> bool:
    """Try a machine on a few rows: arithmetic that breaks its own bounds is not to be trusted."""
    with np.errstate(all="ignore"):
        values, errors = quick.evaluate(rows)
        truth, wrong = exact.evaluate(rows)
    apart = np.abs(values - truth)
    return not ((apart if pulled is None else apart @ pulled) > errors + wrong).any()
