"""Approximate margins decide only where no residual of the known length changes the label."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.inference_samples import a_stack, a_table, border_rows, labels_of, some_rows
from tests.unit.test_inference_stacks import an_ovo, squashed
from worker.inference import compile_predictor
from worker.inference.approximation.pairwise_bounds import (
    PairwiseDecision,
    pairwise_decision,
    sensitivity,
)
from worker.inference.decisions import Argmax, TanhMargins
from worker.inference.estimators.svc import LinearHead

Floats = NDArray[np.float64]
MARGINS, CLASSES = 6, 4


def a_contest(length: float) -> tuple[PairwiseDecision, Floats, Floats]:
    """Return scores of four classes from six margins, the residuals' root, and the leads' pulls."""
    chance = np.random.default_rng(3)
    root = length * chance.standard_normal((MARGINS, MARGINS)) / MARGINS**0.5
    decision = TanhMargins(tangents=chance.normal(size=(MARGINS, CLASSES)), scores=Argmax())
    lift = LinearHead(
        weights=chance.normal(size=(MARGINS, CLASSES)),
        bias=chance.normal(size=CLASSES),
        slack=np.full(CLASSES, 1e-12),
        depth=8,
    )
    return pairwise_decision(decision, lift, root @ root.T, 1.0), root, sensitivity(decision, lift)


def some_margins(count: int = 4000) -> Floats:
    """Return margins as an SVC has them."""
    return np.random.default_rng(4).normal(scale=1.5, size=(count, MARGINS))


def scores(contest: PairwiseDecision, margins: Floats) -> Floats:
    """Return the scores as the formula says."""
    return margins @ contest.weights + np.tanh(margins) @ contest.tangents + contest.bias


def worst(
    contest: PairwiseDecision, margins: Floats, root: Floats, rounded: float, rival: int
) -> Floats:
    """Move each row's margins as far as is allowed towards the class `rival`."""
    label = scores(contest, margins).argmax(axis=1)
    slopes = 1.0 - np.square(np.tanh(margins))
    pull = contest.weights[:, label] - contest.weights[:, [rival]]
    pull = pull.T + (contest.tangents[:, label] - contest.tangents[:, [rival]]).T * slopes
    along = pull @ root
    lengths = np.maximum(np.sqrt(np.square(along).sum(axis=1, keepdims=True)), 1e-12)
    return np.asarray(margins - (along / lengths) @ root.T - rounded * np.sign(pull))


@pytest.mark.parametrize("length", [1e-3, 0.03, 0.3])
@pytest.mark.parametrize("rounded", [0.0, 0.02])
def test_no_residual_of_the_known_length_changes_a_label_that_is_sure(
    length: float, rounded: float
) -> None:
    """The worst residual and roundings that are allowed, towards each other class in turn."""
    contest, root, pulled = a_contest(length)
    margins = some_margins()
    wrong = rounded * pulled.sum(axis=0).max()
    labels, sure = contest.decide(margins, np.full((len(margins), 1), wrong))
    moved = [worst(contest, margins, root, rounded, rival) for rival in range(CLASSES)]
    other = np.array([scores(contest, rows).argmax(axis=1) for rows in moved]) != labels

    assert 0.3 < sure.mean() < 1.0
    assert not other[:, sure].any()


def test_the_bound_is_near_what_the_worst_residual_does() -> None:
    """Most rows that are not sure are indeed given another label by some residual."""
    contest, root, _ = a_contest(0.1)
    margins = some_margins()
    labels, sure = contest.decide(margins, np.zeros((len(margins), 1)))
    moved = [worst(contest, margins, root, 0.0, rival) for rival in range(CLASSES)]
    other = np.array([scores(contest, rows).argmax(axis=1) for rows in moved]) != labels

    assert np.mean(other.any(axis=0)[~sure]) > 0.7


def test_rivals_are_not_sure_of_numbers_that_are_not() -> None:
    """NaN in margins or bounds asks for a closer look, and so does an infinite bound."""
    contest, *_ = a_contest(0.1)
    nothing = np.full((1, MARGINS), np.nan)
    for values, wrong in ((nothing, 0.0), (some_margins(1), np.nan), (some_margins(1), np.inf)):
        with np.errstate(all="ignore"):
            _, sure = contest.decide(values, np.full((1, 1), wrong))
        assert not sure.any()


def a_large_stack() -> Any:
    """Return a stack of the default model's form whose margins are worth approximating."""
    stack = a_stack(an_ovo(gamma=0.0005), final=squashed(), classes=5)
    return stack.fit(*a_table(5, 1500, spread=8.0))


def test_without_caution_approximate_margins_give_wrong_labels() -> None:
    """What the residuals may do is what makes the labels right."""
    stack = a_large_stack()
    rows = border_rows(stack.predict, some_rows(5, 300))
    predictor = compile_predictor(stack, caution=0.0)

    assert (labels_of(predictor, rows) != stack.predict(rows)).any()


def test_tanh_of_float32_is_as_good_as_the_bound_takes_it_for() -> None:
    """Within 2^-20 of float64's, over all margins that an SVC has, whatever the processor."""
    margins = np.linspace(-12.0, 12.0, 2_000_001)

    assert np.abs(np.tanh(margins.astype(np.float32)) - np.tanh(margins)).max() < 2.0**-21
