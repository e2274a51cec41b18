"""The kernels of a dot product (linear, polynomial, sigmoid) as matrix products, in float64."""

from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np

from worker.inference.kernels.expansion import UNIT, Expansion, Group, Kernel
from worker.inference.kernels.tiles import Tiles, pick
from worker.inference.predictor import Floats, Indices

_SLACK: Final = 1.1
_HUGE: Final = 1e250


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DotEvaluator:
    """K(z, s) = (gamma s.z + offset)^degree, or tanh of the base, or s.z itself.

    The base has an error of at most (f+3)u T, with T = gamma |s||z| + |offset|, whether we or
    scikit-learn compute it. A power of it has one of d(f+4)u T^d, by repeated multiplication or
    squaring; tanh, whose slope is at most 1, one of (f+3)u T + 4u. Adding up the n terms whose
    coefficient is not zero (adding a zero is exact) and `depth` further roundings give, twice,

        E = u (n + depth + d(f+4) + 8) sum_i size_i T_i^d,

    which is a polynomial in |z|: `bounds` (d + 1, outputs) holds its coefficients. A linear kernel
    is collapsed into one plane for each output beforehand, which adds up the same terms. Rows whose
    T^d comes near the end of float64 get no bound.
    """

    kernel: Kernel
    gamma: float
    degree: int
    offset: float
    tiles: Tiles
    picks: Indices
    reach: float
    bounds: Floats

    def evaluate(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return values and error bounds, each (n, outputs), of rows (n, features)."""
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        errors = np.vander(length, len(self.bounds), increasing=True) @ self.bounds
        base = self.gamma * self.reach * length + abs(self.offset)
        errors[~(base**self.degree < _HUGE)] = np.inf
        inputs = np.column_stack([rows, np.ones(len(rows))])
        return pick(self.tiles.sums(inputs, self._kernel), self.picks), errors

    def _kernel(self, base: Floats) -> Floats:
        """Return the kernel's values, of the base's shape; the base may be overwritten."""
        if self.kernel == "sigmoid":
            return np.tanh(base, out=base)
        if self.degree < 2:  # noqa: PLR2004 - no product to take
            return base if self.degree else np.ones_like(base)
        power = base * base
        for _ in range(self.degree - 2):
            power *= base
        return power


def dot_evaluator(expansion: Expansion) -> DotEvaluator:
    """Prepare `expansion`."""
    groups, picks = expansion.groups, expansion.picks
    if expansion.kernel == "linear":
        groups, picks = (_planes(expansion),), np.arange(picks.shape[1])[None]
    return DotEvaluator(
        kernel=expansion.kernel,
        gamma=expansion.gamma,
        degree=expansion.degree,
        offset=expansion.offset,
        tiles=Tiles.cut(
            (_with_offset(expansion.gamma * g.points, expansion.offset), g.coefs) for g in groups
        ),
        picks=picks,
        reach=float(_lengths(expansion.points).max(initial=0.0)),
        bounds=_bounds(expansion),
    )


def _planes(expansion: Expansion) -> Group:
    """Collapse a linear kernel: the unit vectors as points, with each output's slopes."""
    slopes = expansion.points.T @ expansion.coefs
    return Group(points=np.eye(len(slopes)), coefs=slopes, sizes=np.abs(slopes))


def _with_offset(points: Floats, offset: float) -> Floats:
    return np.column_stack([points, np.full(len(points), offset)])


def _lengths(points: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(points).sum(axis=1)))


def _bounds(expansion: Expansion) -> Floats:
    """Return the error bound as polynomials in the row's length, (degree + 1, outputs)."""
    points, sizes = expansion.points, expansion.sizes
    degree = 1 if expansion.kernel == "sigmoid" else expansion.degree
    lengths = expansion.gamma * _lengths(points)
    offset = abs(expansion.offset)
    powers = [
        comb(degree, k) * offset ** (degree - k) * (lengths**k @ sizes) for k in range(degree + 1)
    ]
    depth = np.count_nonzero(sizes, axis=0) + expansion.depth + 8.0
    bounds: Floats = np.stack(powers) * (depth + degree * (points.shape[1] + 4.0))
    if expansion.kernel == "sigmoid":
        bounds[0] += depth * sizes.sum(axis=0)
    return 2.0 * _SLACK * UNIT * bounds
