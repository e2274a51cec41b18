"""Chooses how a fitted estimator is best asked."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from sklearn.ensemble import StackingClassifier

from worker.inference.approximation.pairwise_bounds import pulls, rivals
from worker.inference.approximation.reduced_set import Reduction, reduced
from worker.inference.cascade import Cascade, Stage
from worker.inference.decisions import Highest, Squashed
from worker.inference.estimators.stacking import read_stack
from worker.inference.estimators.svc import Model, has_known_margins, open_pipeline, read_votes
from worker.inference.kernels.dot import dot_machine
from worker.inference.kernels.expansion import UNIT, Expansion, Machine
from worker.inference.kernels.rbf import Precision, radial_machine
from worker.inference.predictor import Floats, Predictor, StockPredictor

_TRIALS: Final = 128
_WORTH: Final = 0.1
"""Support vectors are the hardest rows: when a tenth of them is certain, most of all rows are."""


def compile_predictor(estimator: Any, *, caution: float = 1.0) -> Predictor:  # noqa: ANN401 - any scikit-learn classifier
    """Give the fastest predictor that answers as the fitted `estimator` does on every row.

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
    return Cascade(stock=stock, stages=stages, caution=caution, width=width)


def _read(estimator: Any) -> Model | None:  # noqa: ANN401 - as above
    opened = open_pipeline(estimator)
    if opened is None:
        return None
    steps, last = opened
    if type(last) is StackingClassifier:
        return read_stack(steps, last)
    if has_known_margins(last) and not last.break_ties:
        return read_votes(steps, last)
    return None


def _stages(model: Model, caution: float) -> tuple[Stage, ...]:
    """Prepare the stages that are possible and pay, ending with float64; none without that."""
    exact = _stage(model, np.float64)
    if exact is None:
        return ()
    if all(source.expansion.kernel != "rbf" for source in model.sources):
        return (exact,)
    quick = _contest(model, None, caution) or _stage(model, np.float32)
    return tuple(stage for stage in (_brief(model, caution), quick, exact) if stage is not None)


def _stage(model: Model, precision: Precision) -> Stage | None:
    machines = []
    for source in model.sources:
        machine = _machine(source.expansion, precision)
        if machine is None:
            return None
        machines.append((source.steps, machine))
    return Stage(
        machines=tuple(machines),
        bias=model.bias,
        slack=model.slack,
        decision=model.decision,
        lift=model.lift,
    )


def _brief(model: Model, caution: float) -> Stage | None:
    """Prepare an approximation, if it settles enough of the hardest rows: the support vectors."""
    model = model if _has_rivals(model) else model.folded()
    source, *others = model.sources
    reduction = None if others else reduced(source.expansion)
    if reduction is None:
        return None
    stage = _contest(model, reduction, caution) or _approximation(model, reduction)
    if stage is None:
        return None
    trial = replace(stage, machines=(((), stage.machines[0][1]),))
    with np.errstate(all="ignore"):
        values, errors = trial.evaluate(source.expansion.points)
        _, sure = trial.decision.decide(values, caution * errors)
    return stage if sure.mean() > _WORTH else None


def _has_rivals(model: Model) -> bool:
    """Tell whether scores of several classes add up margins and their tanh."""
    decision = model.decision
    return isinstance(decision, Squashed) and isinstance(decision.scores, Highest)


def _contest(model: Model, reduction: Reduction | None, caution: float) -> Stage | None:
    """Prepare margins in float32, or an approximation of them, that decide by `rivals`."""
    decision, lift = model.decision, model.lift
    if lift is None or not isinstance(decision, Squashed) or not _has_rivals(model):
        return None
    (source,) = model.sources
    expansion = reduction.expansion if reduction else source.expansion
    pulled = pulls(decision, lift)
    machine = _machine(expansion, np.float32, pulled)
    if machine is None:
        return None
    # What any margin may be wrong by besides, and what weighing it rounds, here and there.
    most = source.expansion.sizes.sum(axis=0) + np.abs(model.bias)
    wrong = model.slack + 2.0 * UNIT * lift.depth * most
    gram = np.zeros((len(wrong), len(wrong)))
    if reduction:
        wrong, gram = wrong + reduction.rounding, reduction.most
    return Stage(
        machines=((source.steps, machine),),
        bias=model.bias,
        slack=(wrong @ pulled).max(keepdims=True),
        decision=rivals(decision, lift, gram, caution),
    )


def _approximation(model: Model, reduction: Reduction) -> Stage | None:
    """Prepare approximate outputs, each of which may be wrong by its residual."""
    machine = _machine(reduction.expansion, np.float32)
    if machine is None:
        return None
    return Stage(
        machines=((model.sources[0].steps, machine),),
        bias=model.bias,
        slack=model.slack + reduction.distance,
        decision=model.decision,
    )


def _machine(
    expansion: Expansion, precision: Precision, pulled: Floats | None = None
) -> Machine | None:
    """Prepare one expansion; None when `precision` cannot hold it, or does not keep its bounds."""
    if expansion.kernel != "rbf":
        return dot_machine(expansion)
    machine = radial_machine(expansion, precision, pulls=pulled)
    if machine is None or precision is np.float64:
        return machine
    exact = radial_machine(expansion, np.float64, pulls=pulled)
    rows = expansion.points[:: max(1, len(expansion.points) // _TRIALS)]
    return machine if exact and keeps_bounds(machine, exact, rows, pulled) else None


def keeps_bounds(
    quick: Machine, exact: Machine, rows: Floats, pulled: Floats | None = None
) -> bool:
    """Try a machine on a few rows: arithmetic that breaks its own bounds is not to be trusted."""
    with np.errstate(all="ignore"):
        values, errors = quick.evaluate(rows)
        truth, wrong = exact.evaluate(rows)
    apart = np.abs(values - truth)
    return not ((apart if pulled is None else apart @ pulled) > errors + wrong).any()
