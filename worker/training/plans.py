"""The two bean models that ship: what they are and how they came to be."""

from typing import Final

from worker.models.artifacts import Estimator
from worker.training import beans
from worker.training.recipes import kernel_svc, stacked, walkthrough
from worker.training.train import Plan

_COST: Final = 3.0
_GAMMA: Final = 0.1


def _walkthrough(seed: int) -> Estimator:  # noqa: ARG001 - a linear SVC draws no random numbers
    return walkthrough()


def _calibrated(seed: int) -> Estimator:
    return stacked(kernel_svc(beans.INDEPENDENT, cost=_COST, gamma=_GAMMA), seed=seed)


PLANS: Final = (
    Plan(
        name=beans.NAME,
        version=1,
        default=False,
        # Unscaled columns take libsvm 360 million steps, most of a minute, for a single fit.
        in_folds=False,
        description="The walkthrough's model: a linear SVC on the raw measurements.",
        label_rule=(
            "The label is the winner of the SVC's votes between pairs of classes. "
            "There are no probabilities."
        ),
        chosen="It is the walkthrough's.",
        recipe=_walkthrough,
    ),
    Plan(
        name=beans.NAME,
        version=2,
        default=True,
        in_folds=True,
        description=(
            "An RBF SVC on eight power-transformed measurements, from which the other eight "
            "follow; a multinomial regression makes probabilities of its pairwise margins."
        ),
        label_rule="The label is the class of the highest probability, on every row.",
        chosen=(
            "By shuffled 5-fold cross-validation on the training part only, repeated with four "
            "seeds (python -m worker.training.search); docs/adr/0010 has the table."
        ),
        recipe=_calibrated,
    ),
)
