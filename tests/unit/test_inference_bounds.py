"""Each value of the fast predictor lies within its error bound, and labels follow from bounds."""

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import PowerTransformer

from tests.unit.inference_samples import KERNELS, a_stack, a_table, an_svc, some_rows
from worker.inference import compile_predictor
from worker.inference.cascade import Cascade, Stage
from worker.inference.compile import keeps_bounds
from worker.inference.decisions import Argmax, Positive, TanhMargins, Votes
from worker.inference.estimators.svc import read_margins
from worker.inference.estimators.transforms import PowerStep, read_step
from worker.inference.kernels.dot import dot_evaluator
from worker.inference.kernels.rbf import rbf_evaluator


def stages_of(model: Any) -> tuple[Stage, ...]:
    """Return the stages of a compiled model."""
    predictor = compile_predictor(model)
    assert isinstance(predictor, Cascade)
    return predictor.stages


def margins_of(svc: Any, rows: Any) -> Any:
    """Return libsvm's decision values; scikit-learn changes their sign for two classes."""
    margins = svc.decision_function(rows)
    return -margins[:, None] if margins.ndim == 1 else margins


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("penalty", [0.1, 1e3])
@pytest.mark.parametrize("gamma", [1e-3, 0.02, 0.3])
def test_float32_stays_far_below_its_bound(classes: int, penalty: float, gamma: float) -> None:
    """The worst error of many rows is below a tenth of what the bound allows (and the bias's)."""
    quick, exact = stages_of(an_svc(classes, C=penalty, gamma=gamma))
    rows = some_rows(classes)
    (values, errors), (truth, _) = quick.evaluate(rows), exact.evaluate(rows)

    assert (np.abs(values - truth) <= 0.1 * errors + quick.slack).all()
    assert (np.abs(values - truth) > 0.0).any()


@pytest.mark.parametrize("gamma", [1e-3, 0.3])
def test_the_float32_bound_is_narrow_enough_to_be_of_use(gamma: float) -> None:
    """Few ordinary rows need a second look."""
    rows = some_rows(7)
    predictor = compile_predictor(an_svc(7, gamma=gamma))

    assert isinstance(predictor, Cascade)
    assert predictor.unsettled(rows)[0] < 0.05 * len(rows)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("classes", [2, 7])
def test_float64_differs_from_libsvm_by_less_than_its_bound(kernel: str, classes: int) -> None:
    """The bound of the exact stage covers our rounding and libsvm's together."""
    svc = an_svc(classes, decision_function_shape="ovo", **KERNELS[kernel])
    rows = some_rows(classes)
    values, errors = stages_of(svc)[-1].evaluate(rows)
    margins = margins_of(svc, rows)

    assert (np.abs(values - margins) <= errors).all()
    assert (errors < 1e-6 * np.abs(margins).max()).all()


def test_far_rows_have_no_bound_in_float32() -> None:
    """Where rounding moves a row by more than the kernel is wide, the exact stage is asked."""
    quick, _ = stages_of(an_svc(gamma=0.3))
    with np.errstate(all="ignore"):
        _, errors = quick.evaluate(some_rows() + 1e4)

    assert not np.isfinite(errors).any()


@pytest.mark.parametrize("power", [np.exp, np.exp2])
def test_powers_of_float32_are_within_four_units_of_the_last_place(power: Any) -> None:
    """The bound rests on this property of NumPy, on whatever processor this runs."""
    numbers = -np.geomspace(1e-6, 87.0, 1_000_000, dtype=np.float32)
    truth = power(numbers.astype(np.float64))
    unit = np.exp2(np.floor(np.log2(truth)) - 23.0)

    assert (np.abs(power(numbers) - truth) <= 4.0 * unit).all()


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_both_powers_give_the_same_values_within_their_bounds(precision: Any) -> None:
    """Which one is taken depends on the processor; the values and bounds do not."""
    expansion, _ = read_margins(an_svc(7))
    machines = [rbf_evaluator(expansion, precision, power) for power in (np.exp, np.exp2)]
    (one, first), (other, second) = [m.evaluate(some_rows(7)) for m in machines if m]

    assert (np.abs(one - other) <= 0.2 * np.minimum(first, second)).all()


def test_a_far_support_vector_leaves_no_bound_in_float32() -> None:
    """Its kernel value could be wrong by any factor, for every row."""
    expansion, _ = read_margins(an_svc(gamma=0.3))
    expansion.groups[0].points[0] = 1e4
    machine = rbf_evaluator(expansion, np.float32)
    with np.errstate(all="ignore"):
        _, errors = machine.evaluate(some_rows()) if machine else ((), ())

    assert not np.isfinite(errors).any()


def test_no_power_near_the_end_of_float64_has_a_bound() -> None:
    """Whether such a value is infinite may differ between scikit-learn and us."""
    machine = dot_evaluator(read_margins(an_svc(kernel="poly", degree=3))[0])
    with np.errstate(all="ignore"):
        _, errors = machine.evaluate(np.full((1, 5), 1e90))

    assert not np.isfinite(errors).any()


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_bounds_cover_what_scikit_learn_rounds(precision: Any) -> None:
    """Large terms that cancel in our coefficients are rounded in scikit-learn."""
    plain, _ = read_margins(an_svc())
    groups = [replace(group, sizes=1e12 * group.sizes) for group in plain.groups]
    large = replace(plain, groups=tuple(groups))
    (_, few), (_, many) = [
        machine.evaluate(some_rows())
        for expansion in (plain, large)
        if (machine := rbf_evaluator(expansion, precision))
    ]

    assert (many > 2.0 * few).all()


def test_arithmetic_that_breaks_its_bounds_is_not_trusted() -> None:
    """A machine whose powers are wrong does not pass its trial."""
    expansion, _ = read_margins(an_svc())
    good, exact = (rbf_evaluator(expansion, p, np.exp2) for p in (np.float32, np.float64))
    assert good
    assert exact

    assert keeps_bounds(good, exact, some_rows())
    assert not keeps_bounds(replace(good, power=np.exp), exact, some_rows())


@pytest.mark.parametrize("size", [1, 7, 2000])
def test_the_power_step_gives_the_bits_of_scikit_learn(size: int) -> None:
    """Of positive, negative and mixed rows, in blocks of any size."""
    transformer = PowerTransformer().fit(a_table()[0] - 15.0)
    step = read_step(transformer)
    rows = some_rows(count=2000) - 15.0
    ours = np.vstack([step(rows[i : i + size]) for i in range(0, len(rows), size)] if step else [])

    assert isinstance(step, PowerStep)
    assert (ours == transformer.transform(rows)).all()


def test_votes_are_sure_only_when_no_doubtful_pair_can_change_the_winner() -> None:
    """All 729 ways in which four classes' six pairs can be won, lost or doubtful."""
    outcomes = np.array(list(product([1.0, -1.0, 0.5], repeat=6)))
    errors = np.where(outcomes == 0.5, 1.0, 0.1)
    labels, sure = Votes.among(4).decide(outcomes, errors)

    for outcome, label, certain in zip(outcomes, labels, sure, strict=True):
        winners = {winner(signs) for signs in completions(outcome)}
        assert not certain or winners == {label}
        assert certain or 0.5 in outcome


def completions(outcome: Any) -> Any:
    """Return all ways in which the doubtful pairs can end."""
    return product(*[[1.0, -1.0] if value == 0.5 else [value] for value in outcome])


def winner(signs: Any) -> int:
    """Count votes as libsvm does: the first class with the most of them."""
    votes = [0, 0, 0, 0]
    for (i, j), sign in zip(combinations(range(4), 2), signs, strict=True):
        votes[i if sign > 0 else j] += 1
    return votes.index(max(votes))


@pytest.mark.parametrize(
    "lead, wrong, certain", [(0.3, 0.1, True), (0.2, 0.11, False), (0.0, 0.0, False)]
)
def test_the_highest_score_is_sure_when_its_lead_exceeds_both_errors(
    lead: float, wrong: float, *, certain: bool
) -> None:
    """The lead over the second must be more than the errors of the two."""
    labels, sure = Argmax().decide(np.array([[1.0, 1.0 + lead, -5.0]]), np.full((1, 3), wrong))

    assert sure.tolist() == [certain]
    assert not certain or labels.tolist() == [1]


def test_tanh_of_a_doubtful_margin_is_bounded_by_its_steepest_slope() -> None:
    """The score of two thirds of tanh of 0.5, with a margin that may be wrong by 0.4."""
    decision = TanhMargins(tangents=np.array([[2.0 / 3.0]]), scores=Positive())
    middle = np.tanh(0.5)
    lowest = 2.0 / 3.0 * (middle - 0.4 * (1.0 - (middle - 0.4) ** 2))
    assert lowest < 2.0 / 3.0 * np.tanh(0.1)
    for score, certain in ((-lowest + 1e-6, True), (-lowest - 1e-6, False)):
        values, errors = np.array([[score, 0.5]]), np.array([[0.0, 0.4]])
        assert decision.decide(values, errors)[1].tolist() == [certain]


def test_no_decision_is_sure_of_numbers_that_are_not() -> None:
    """NaN in values or bounds always asks for a closer look."""
    nan = np.full((1, 3), np.nan)
    for decision, outputs in ((Votes.among(3), 3), (Argmax(), 3), (Positive(), 1)):
        for values, errors in ((nan, np.zeros((1, 3))), (np.ones((1, 3)), nan)):
            _, sure = decision.decide(values[:, :outputs], errors[:, :outputs])
            assert not sure.any()


def test_probabilities_of_two_classes_come_from_one_score() -> None:
    """The logistic function of the score is the second class's probability."""
    stack = a_stack(an_svc(2), classes=2)
    rows = some_rows(2)
    values, _ = stages_of(stack)[-1].evaluate(rows)

    assert np.abs(Positive().probabilities(values) - stack.predict_proba(rows)).max() < 1e-12
