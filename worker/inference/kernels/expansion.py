"""Sums of kernels as plain numbers: what a fitted SVC computes, before anyone chooses how.

libsvm's decision value of a row z for one pair of classes is a sum over support vectors,

    f_p(z) = sum_i c_ip K(z, s_i) + b_p

(Chang & Lin 2011, "LIBSVM", sections 2 and 7; `predict_values` in scikit-learn's svm.cpp), taken
there one kernel value after the other. The machines here take tiles of rows and support vectors
instead: one matrix product, one elementwise function, and a second, narrow matrix product.

Their error bounds rest on the usual one of a dot product of n terms, n u sum |a_j b_j| to first
order and in any order of summation (Higham 2002, "Accuracy and Stability of Numerical Algorithms",
section 3.1); u is 2^-24 in float32 and 2^-53 in float64. Each bound covers our rounding *and*
scikit-learn's own: where |f_p| exceeds it, scikit-learn's value has the same sign.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np

from worker.inference.predictor import Floats, Indices

Kernel: TypeAlias = Literal["linear", "poly", "rbf", "sigmoid"]

UNIT: Final = 2.0**-53
"""The unit roundoff of float64, in which scikit-learn computes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Support vectors that contribute to the same sums.

    `points` (n, features); `coefs` (n, sums); `sizes` (n, sums): the most, in absolute terms, that
    scikit-learn multiplies a point's kernel value with on its way into that sum.
    """

    points: Floats
    coefs: Floats
    sizes: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expansion:
    """Outputs that are sums of kernels.

    Every group has the same number of sums. Each output adds up some of all groups' sums, put side
    by side: those in its column of `picks` (terms, outputs), none twice. `depth` bounds how often
    scikit-learn rounds a value besides computing and adding up the kernels. `gamma`, `degree` and
    `offset` (coef0) are the kernel's.
    """

    kernel: Kernel
    groups: tuple[Group, ...]
    picks: Indices
    depth: int
    gamma: float = 1.0
    degree: int = 1
    offset: float = 0.0

    @property
    def points(self) -> Floats:
        """All groups' points, (n, features)."""
        return np.vstack([group.points for group in self.groups])

    @property
    def coefs(self) -> Floats:
        """Each point's coefficient in each output, (n, outputs)."""
        return self._spread([group.coefs for group in self.groups])

    @property
    def sizes(self) -> Floats:
        """Each point's size in each output, (n, outputs)."""
        return self._spread([group.sizes for group in self.groups])

    def weighted(self, weights: Floats, depth: int) -> "Expansion":
        """Return the expansion of these outputs times `weights` (outputs, new outputs).

        `depth` is what scikit-learn's own weighing adds to the depth.
        """
        group = Group(
            points=self.points, coefs=self.coefs @ weights, sizes=self.sizes @ np.abs(weights)
        )
        picks = np.arange(weights.shape[1])[None]
        return replace(self, groups=(group,), picks=picks, depth=self.depth + depth)

    def _spread(self, blocks: list[Floats]) -> Floats:
        """Spread each group's columns over the outputs that pick them, (all n, outputs)."""
        sums = blocks[0].shape[1]
        spread = np.zeros((len(blocks) * sums, self.picks.shape[1]))
        spread[self.picks, np.arange(self.picks.shape[1])] = 1.0
        parts = np.split(spread, len(blocks))
        return np.vstack([block @ part for block, part in zip(blocks, parts, strict=True)])


class Evaluator(Protocol):
    """Evaluates an expansion."""

    def evaluate(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return values, (n, outputs), and error bounds, (n, outputs or 1), of rows (n, features).

        A bound that cannot be given is infinite or NaN.
        """
