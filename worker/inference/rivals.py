"""Decides by scores that approximate margins give, looking at each pair of classes as a whole.

Each margin m_p is known as m'_p, wrong by d_p = h_p(z) + e_p: the residual of an approximation
(see `reduced`) and roundings, |e_p| <= r. The lead of class a over class c in scores

    s_k = sum_p w_pk m_p + t_pk tanh(m_p) + b_k

is then wrong by sum_p u_p d_p and a remainder, where u_p = w_p + t_p sech(m'_p)^2, with the
differences w_p = w_pa - w_pc and t_p = t_pa - t_pc. What the residuals add to it is *one* function
of the feature space, sum_p u_p h_p, so that by Cauchy and Schwarz

    |sum_p u_p h_p(z)|  <=  sqrt(u^T G u),    G the residuals' Gram matrix,

which is several times less than the sum of |u_p| |h_p|: they point into many directions. The
roundings add at most r sum |u_p|, and the remainder of tanh, whose second derivative is below
0.77, at most 0.385 sum |t_p| d_p^2, with |d_p| <= |h_p| + r.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.inference.decisions import Squashed
from worker.inference.predictor import Flags, Floats, Indices
from worker.inference.svc import Lift
from worker.inference.tiles import Matrix

_BEND: Final = 0.385
"""More than half of the greatest second derivative of tanh, 4 / 27^0.5."""
_TANH: Final = 2.0**-20
"""More than float32's tanh is wrong by: an ulp or two of NumPy's, and the rounding of its input."""
_SLACK: Final = 1.001
"""Covers what float32 rounds of a result, relative to it."""
_CANCELED: Final = 2.0**-21
"""And what it rounds of n terms of which a vector's n parts are made, per n^1.5 of the largest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rivals:
    """Compares the first class with each other one, within what residuals may change.

    `weights`, `tangents` (margins, k) and `bias` (k,) make scores of margins. With the slopes
    sech^2 of the margins, (n, margins), `slopes @ turned + fixed` are k vectors of each row, side
    by side, whose distances are those of the scores' errors. `steep` (margins, k * k) are the
    |t_p| of each pair, and `terms` (3, k, k) what stands before 1, r and r^2 in a pair's bound,
    whatever the slopes are.
    """

    weights: Floats
    tangents: Floats
    bias: Floats
    turned: Matrix
    fixed: Matrix
    steep: Matrix
    terms: Floats

    @property
    def gives_probabilities(self) -> bool:
        """Approximate margins give none."""
        return False

    def decide(self, values: Floats, errors: Floats) -> tuple[Indices, Flags]:
        """Label rows by margins, (n, margins), wrong by `errors` besides their residuals."""
        squashed = np.tanh(values.astype(np.float32))
        slopes = np.float32(1.0) - squashed * squashed
        scores = values @ self.weights + squashed.astype(np.float64) @ self.tangents + self.bias
        rows, labels = np.arange(len(values)), scores.argmax(axis=1)
        leads = scores[rows, labels][:, None] - scores
        sure = leads > self._doubts(slopes, labels, errors.max(axis=1, keepdims=True))
        sure[rows, labels] = True
        return labels, sure.all(axis=1)

    def _doubts(self, slopes: Matrix, labels: Indices, wrong: Floats) -> Floats:
        """Bound the errors of the leads of the classes `labels` over all classes, (n, k)."""
        rows, classes = np.arange(len(slopes)), len(self.bias)
        vectors = (slopes @ self.turned + self.fixed).reshape(len(slopes), classes, -1)
        apart = vectors - vectors[rows, labels][:, None]
        residuals = np.sqrt(np.einsum("nkp,nkp->nk", apart, apart))
        steep = (slopes @ self.steep).reshape(len(slopes), classes, classes)[rows, labels]
        fixed, first, second = self.terms[:, labels]
        doubts: Floats = _SLACK * residuals + fixed + wrong * (first + _SLACK * steep)
        doubts += np.square(wrong) * second
        return doubts

    def probabilities(self, values: Floats) -> Floats:
        """Approximate margins give none."""
        raise NotImplementedError


def rivals(decision: Squashed, lift: Lift, gram: Floats, caution: float) -> Rivals:
    """Prepare the decision for margins whose residuals have the inner products `gram`."""
    margins = len(decision.tangents)
    lengths = np.sqrt(np.maximum(gram.diagonal(), 0.0))
    values, vectors = np.linalg.eigh(gram)
    # What eigh rounds is far less than this.
    values = np.maximum(values, 0.0) + 1e-13 * np.square(lengths).sum()
    root = caution * vectors * np.sqrt(values)
    turned = decision.tangents[:, :, None] * root[:, None]
    weigh = np.abs(lift.weights[:, :, None] - lift.weights[:, None])
    steep = np.abs(decision.tangents[:, :, None] - decision.tangents[:, None])
    fixed = lift.weights.T @ root
    canceled = np.abs(turned).sum(axis=0).max() + np.abs(fixed).max()
    canceled *= _CANCELED * margins**1.5
    tanh = _BEND * np.square(lengths) + _TANH * (1.0 + 4.0 * lengths)
    return Rivals(
        weights=lift.weights,
        tangents=decision.tangents,
        bias=lift.bias,
        turned=turned.reshape(margins, -1).astype(np.float32),
        fixed=fixed.ravel().astype(np.float32),
        steep=steep.reshape(margins, -1).astype(np.float32),
        terms=np.stack(
            [
                caution * (np.tensordot(tanh, steep, 1) + _pairs(lift.slack) + canceled),
                weigh.sum(axis=0) + np.tensordot(2.0 * _BEND * lengths + 4.0 * _TANH, steep, 1),
                _BEND * steep.sum(axis=0),
            ]
        ),
    )


def _pairs(each: Floats) -> Floats:
    return each[:, None] + each
