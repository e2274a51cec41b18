"""The kernels of a dot product (linear, polynomial, sigmoid) as matrix products, in float64."""

from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np

from worker.inference.expansion import UNIT, Expansion, Kernel
from worker.inference.predictor import Floats

_TILE_ROWS: Final = 256
_TILE_POINTS: Final = 192
_SLACK: Final = 1.1
_HUGE: Final = 1e250


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DotMachine:
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
    points: Floats
    coefs: Floats
    reach: float
    bounds: Floats

    def evaluate(self, rows: Floats) -> tuple[Floats, Floats]:
        """Give values and error bounds, each (n, outputs), of rows (n, features)."""
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        errors = np.vander(length, len(self.bounds), increasing=True) @ self.bounds
        base = self.gamma * self.reach * length + abs(self.offset)
        errors[~(base**self.degree < _HUGE)] = np.inf
        if self.kernel == "linear":
            return rows @ self.coefs, errors
        values = np.zeros_like(errors)
        height = min(len(rows), _TILE_ROWS)
        scratch = np.empty((2, height * _TILE_POINTS))
        for start in range(0, len(rows), _TILE_ROWS):
            block = rows[start : start + _TILE_ROWS]
            into = values[start : start + _TILE_ROWS]
            for first in range(0, len(self.points), _TILE_POINTS):
                tile = slice(first, first + _TILE_POINTS)
                kernel = self._kernel(block, self.points[tile], scratch)
                into += kernel @ self.coefs[tile]
        return values, errors

    def _kernel(self, rows: Floats, points: Floats, scratch: Floats) -> Floats:
        """Give the kernel of `rows` (n, features) and `points` (m, features), (n, m)."""
        shape = len(rows), len(points)
        base: Floats = scratch[0, : shape[0] * shape[1]].reshape(shape)
        power: Floats = scratch[1, : shape[0] * shape[1]].reshape(shape)
        np.matmul(rows, points.T, out=base)
        base *= self.gamma
        base += self.offset
        if self.kernel == "sigmoid":
            return np.tanh(base, out=base)
        power[:] = base if self.degree else 1.0
        for _ in range(self.degree - 1):
            power *= base
        return power


def dot_machine(expansion: Expansion) -> DotMachine:
    """Prepare `expansion`."""
    points, coefs = expansion.points, expansion.coefs
    linear = expansion.kernel == "linear"
    return DotMachine(
        kernel=expansion.kernel,
        gamma=expansion.gamma,
        degree=expansion.degree,
        offset=expansion.offset,
        points=points,
        coefs=points.T @ coefs if linear else coefs,
        reach=float(_lengths(points).max(initial=0.0)),
        bounds=_bounds(expansion),
    )


def _lengths(points: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(points).sum(axis=1)))


def _bounds(expansion: Expansion) -> Floats:
    """Give the error bound as polynomials in the row's length, (degree + 1, outputs)."""
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
