"""A large SVC is first approximated by fewer support vectors, within a bound for every row."""

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.unit.inference_samples import a_stack, a_table, an_svc, border_rows, labels_of, some_rows
from tests.unit.test_inference_stacks import FINALS
from worker.inference import compile_predictor
from worker.inference.approximation.reduced_set import reduce_expansion
from worker.inference.cascade import Cascade
from worker.inference.estimators.svc import read_margins


@cache
def large_svc(classes: int = 7, gamma: float = 0.05, penalty: float = 1.0) -> Any:
    """Return an SVC with so many support vectors that approximating it pays."""
    svc = SVC(C=penalty, gamma=gamma)
    return make_pipeline(StandardScaler(), svc).fit(*a_table(classes, 1500, spread=8.0))


def three_stages(model: Any) -> Cascade:
    """Compile a model whose first stage must be an approximation."""
    predictor = compile_predictor(model)
    assert isinstance(predictor, Cascade)
    assert len(predictor.stages) == 3
    return predictor


@pytest.mark.parametrize("classes", [2, 7, 10])
@pytest.mark.parametrize("penalty", [1.0, 10.0])
def test_labels_of_a_large_svc_are_those_of_scikit_learn(classes: int, penalty: float) -> None:
    """Ordinary rows and rows on a boundary."""
    model = large_svc(classes, penalty=penalty)
    rows = np.vstack([some_rows(classes), border_rows(model.predict, some_rows(classes, 300))])

    assert (labels_of(three_stages(model), rows) == model.predict(rows)).all()


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("final", ["plain", "squashed"])
def test_labels_of_a_large_stack_are_those_of_scikit_learn(classes: int, final: str) -> None:
    """The approximated outputs may be scores, or scores and margins."""
    base = SVC(decision_function_shape="ovo", gamma=0.0005)
    stack = a_stack(base, final=FINALS[final], classes=classes)
    stack.fit(*a_table(classes, 1500, spread=8.0))
    rows = np.vstack([some_rows(classes), border_rows(stack.predict, some_rows(classes, 300))])
    predictor = three_stages(stack)

    assert (labels_of(predictor, rows) == stack.predict(rows)).all()
    assert np.abs(predictor.predict_proba(rows) - stack.predict_proba(rows)).max() < 1e-6


def test_the_approximation_keeps_its_bound_on_near_and_far_rows() -> None:
    """No row differs by more than the bound, which is not far above what the worst row needs."""
    predictor = three_stages(large_svc())
    rows = np.vstack([some_rows(7, 20_000), 10.0 * some_rows(7) - 200.0])
    brief, _, exact = predictor.stages
    (values, errors), (truth, _) = brief.evaluate(rows), exact.evaluate(rows)
    wrong = np.abs(values - truth) / errors

    assert wrong.max() <= 1.0
    assert wrong.max() > 0.05


def test_the_bound_is_the_length_of_what_is_left() -> None:
    """In the feature space, with scikit-learn's own kernel."""
    svc = large_svc(4)[-1]
    whole, _ = read_margins(svc)
    approximation = reduce_expansion(whole)
    assert approximation
    part, distance = approximation.expansion, approximation.distance
    kernel = [
        rbf_kernel(*pair, gamma=0.05) for pair in product((whole.points, part.points), repeat=2)
    ]
    left, right = np.vstack([whole.coefs, -part.coefs]), np.block([kernel[:2], kernel[2:]])
    length = np.sqrt(np.einsum("ip,ij,jp->p", left, right, left, optimize=True))

    assert (distance >= length).all()
    assert (distance <= 1.01 * length).all()


def test_the_bound_covers_what_scikit_learn_rounds() -> None:
    """Large terms that cancel in our coefficients are rounded in scikit-learn."""
    whole, _ = read_margins(large_svc(4)[-1])
    groups = [replace(group, sizes=1e15 * group.sizes) for group in whole.groups]
    few, many = reduce_expansion(whole), reduce_expansion(replace(whole, groups=tuple(groups)))

    assert few
    assert many
    assert (many.distance > few.distance + 1.0).all()


def test_the_approximation_settles_most_rows() -> None:
    """It is what makes ordinary rows cheap."""
    rows = some_rows(7)

    assert three_stages(large_svc()).unsettled(rows)[0] < 0.5 * len(rows)


def test_an_approximation_that_settles_too_little_is_given_up() -> None:
    """Rows after thousands of hard ones are not tried, though they would be easy."""
    model = large_svc()
    hard = border_rows(model.predict, some_rows(7, 300))
    rows = np.vstack([np.resize(hard, (6_000, 5)), some_rows(7)])
    predictor = three_stages(model)

    assert predictor.unsettled(rows)[0] == len(rows)
    assert (labels_of(predictor, rows[-3_000:]) == model.predict(rows[-3_000:])).all()


def test_without_caution_the_approximation_gives_wrong_labels() -> None:
    """The bound is what makes its labels right."""
    model = large_svc()
    rows = border_rows(model.predict, some_rows(7, 300))
    predictor = compile_predictor(model, caution=0.0)

    assert (labels_of(predictor, rows) != model.predict(rows)).any()


def test_points_that_are_all_alike_are_approximated_by_one() -> None:
    """Copies of a point bring nothing, so choosing ends before its count is reached."""
    expansion, _ = read_margins(an_svc(2))
    for group in expansion.groups:
        group.points[:] = 1.0
    many = expansion.weighted(np.ones((1, 1)), 0)
    approximation = reduce_expansion(many, fewest=1)

    assert approximation is not None
    assert len(approximation.expansion.points) == 1
    assert approximation.distance.max() < 1e-4


@pytest.mark.parametrize("kernel", ["linear", "poly", "sigmoid"])
def test_other_kernels_are_not_approximated(kernel: str) -> None:
    """The bound needs kernel values of a row with itself that are 1."""
    expansion, _ = read_margins(an_svc(kernel=kernel, gamma=0.01))

    assert reduce_expansion(expansion, fewest=1) is None


def test_a_kernel_too_narrow_to_approximate_is_computed_in_full() -> None:
    """When an approximation would settle too few rows, there is none."""
    model = large_svc(gamma=30.0)
    predictor = compile_predictor(model)
    rows = some_rows(7)

    assert isinstance(predictor, Cascade)
    assert len(predictor.stages) == 2
    assert (labels_of(predictor, rows) == model.predict(rows)).all()
