"""Decides by margins that are known within bounds, looking at each pair of classes as a whole.

Each margin m_p is known as m'_p, wrong by h_p(z) + e_p: the residual of an approximation (see
`reduced`) and roundings. The lead of class a over class c in scores

    s_k = sum_p w_pk m_p + t_pk tanh(m_p) + b_k

changes with a margin by a factor between w_p and w_p + t_p, with the differences w_p = w_pa - w_pc
and t_p = t_pa - t_pc: roundings change it by at most sum_p v_p |e_p|, v_p = max(|w_p|, |w_p + t_p|)
(`pulls`). Residuals change it by sum_p u_p h_p, where u_p = w_p + t_p sech(m'_p)^2, and a remainder
of tanh, whose second derivative is below 0.77. Both are functions of *one* vector of length 1 in
the feature space, so that with the residuals' Gram matrix G

    |sum_p u_p h_p(z)|             <=  sqrt(u^T G u),
    0.385 sum_p |t_p| h_p(z)^2     <=  the largest eigenvalue of D G D,  D = diag(0.385 |t_p|)^0.5,

which is several times less than what the lengths |h_p| allow: they point into many directions.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.inference.decisions import TanhMargins
from worker.inference.estimators.svc import LinearHead
from worker.inference.kernels.tiles import Matrix
from worker.inference.predictor import Flags, Floats, Indices

_BEND: Final = 0.385
"""More than half of the greatest second derivative of tanh, 4 / 27^0.5."""
_TANH: Final = 2.0**-20
"""More than float32's tanh is wrong by: an ulp or two of NumPy's, and the rounding of its input."""
_SLACK: Final = 1.001
"""Covers what float32 rounds of a result, relative to it."""
_CANCELED: Final = 2.0**-21
"""And what it rounds of n terms of which a vector's n parts are made, per n^1.5 of the largest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairwiseDecision:
    """Compares the first class with each other one, within what residuals may change.

    `weights`, `tangents` (margins, k) and `bias` (k,) make scores of margins. With the slopes
    sech^2 of the margins, (n, margins), `slopes @ turned + fixed` are k vectors of each row, side
    by side, whose distances are those of the scores' errors. `least` (k, k) is by what else each
    pair's lead may be wrong, whatever the margins are.
    """

    weights: Floats
    tangents: Floats
    bias: Floats
    turned: Matrix
    fixed: Matrix
    least: Floats

    @property
    def gives_probabilities(self) -> bool:
        """Approximate margins give none."""
        return False

    def decide(self, values: Floats, errors: Floats) -> tuple[Indices, Flags]:
        """Label rows by margins, (n, margins), whose roundings move no lead by over `errors`."""
        squashed = np.tanh(values.astype(np.float32))
        scores = values @ self.weights + squashed.astype(np.float64) @ self.tangents + self.bias
        rows, labels = np.arange(len(values)), scores.argmax(axis=1)
        leads = scores[rows, labels][:, None] - scores
        sure = leads > self._residuals(squashed, labels) + self.least[labels] + errors
        sure[rows, labels] = True
        return labels, sure.all(axis=1)

    def _residuals(self, squashed: Matrix, labels: Indices) -> Matrix:
        """Bound what residuals do to the leads of the classes `labels` over all classes, (n, k)."""
        slopes = np.float32(1.0) - squashed * squashed
        classes = len(self.bias)
        vectors = slopes @ self.turned + self.fixed
        vectors = vectors.reshape(len(slopes), classes, len(self.fixed) // classes)
        apart = vectors - vectors[np.arange(len(slopes)), labels][:, None]
        residuals: Matrix = np.sqrt(np.einsum("nkp,nkp->nk", apart, apart))
        return np.float32(_SLACK) * residuals

    def probabilities(self, values: Floats) -> Floats:
        """Approximate margins give none."""
        raise NotImplementedError


def pairwise_decision(
    decision: TanhMargins, lift: LinearHead, gram: Floats, caution: float
) -> PairwiseDecision:
    """Prepare the decision for margins whose residuals have the inner products `gram`."""
    margins = len(decision.tangents)
    root = caution * _root(gram)
    turned = decision.tangents[:, :, None] * root[:, None]
    fixed = lift.weights.T @ root
    canceled = np.abs(turned).sum(axis=0).max(initial=0.0) + np.abs(fixed).max(initial=0.0)
    canceled *= _CANCELED * margins**1.5
    steep = np.abs(_pairs(decision.tangents))
    tanh = _TANH * (1.0 + 4.0 * np.sqrt(gram.diagonal()))
    least = np.tensordot(tanh, steep, 1) + lift.slack[:, None] + lift.slack
    return PairwiseDecision(
        weights=lift.weights,
        tangents=decision.tangents,
        bias=lift.bias,
        turned=turned.reshape(margins, -1).astype(np.float32),
        fixed=fixed.ravel().astype(np.float32),
        least=caution * (least + canceled + _bends(steep, gram)),
    )


def sensitivity(decision: TanhMargins, lift: LinearHead) -> Floats:
    """Return how much each lead changes at most with each margin, (margins, pairs of classes)."""
    weights, tangents = _pairs(lift.weights), _pairs(decision.tangents)
    most = np.maximum(np.abs(weights), np.abs(weights + tangents))
    first, second = np.triu_indices(most.shape[1], k=1)
    return np.asarray(most[:, first, second])


def _pairs(each: Floats) -> Floats:
    """Return the differences of all columns, (margins, k, k)."""
    return each[:, :, None] - each[:, None]


def _root(gram: Floats) -> Floats:
    """Return R, of as many columns as are needed, with R R^T >= gram."""
    values, vectors = np.linalg.eigh(gram)
    # What eigh rounds is far less than this.
    values = np.maximum(values, 0.0) + 1e-13 * gram.trace()
    return np.asarray((vectors * np.sqrt(values))[:, values > 0.0])


def _bends(steep: Floats, gram: Floats) -> Floats:
    """Bound the remainders of tanh in each pair's lead, (k, k)."""
    scales = np.sqrt(_BEND * steep.transpose(1, 2, 0))
    return np.asarray(
        _SLACK * np.linalg.eigvalsh(scales[..., :, None] * gram * scales[..., None, :])[..., -1]
    )
