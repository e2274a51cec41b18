"""The radial kernel as matrix products, in float32 or float64."""

from dataclasses import dataclass
from functools import cache
from math import e, log2
from timeit import repeat
from typing import Final, Self, TypeAlias

import numpy as np

from worker.inference.kernels.expansion import UNIT, Expansion
from worker.inference.kernels.tiles import POINTS, Matrix, Tiles, pick
from worker.inference.predictor import Floats, Indices

Precision: TypeAlias = type[np.float32] | type[np.float64]
Power: TypeAlias = np.ufunc

_UNITS: Final[dict[Precision, float]] = {np.float32: 2.0**-24, np.float64: UNIT}
_SLACK: Final = 1.1
_SMALL: Final = 0.05
_MOST: Final = 1e30
"""Coefficients may add up to so much: float32 ends at 3e38."""
_UNDERFLOW: Final = 2.0**-110
"""Far more than float32 loses by underflow in a product with a weight of one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RbfEvaluator:
    """K(z, s) = exp(-gamma |z - s|^2).

    With x = z - centre, and s relative to it too, the exponent is *one* matrix product,

        [x, -g|x|^2, 1] . [2g s, 1, -g|s|^2],    g = gamma, or gamma log2(e) to the base 2.

    x and s are rounded first and then squared in float64, so that rounding them moves the points a
    little but does not unbalance the three terms. Moving the points changes the exponent by at most
    2u g(|x|+|s|)^2, rounding the weights, the squares and g itself by (f+5)u g(|x|+|s|)^2, and the
    product of f+2 terms by (f+2)u g(|x|+|s|)^2; so the relative error of K is below

        u (2f + 10) gamma (|x|+|s|)^2  <=  u G (|x|^2 + |s|^2),    G = (4f + 20) gamma,

    plus 8u for the power (4 ulp; the worst of all float32 is 2.55 for exp and 1.01 for exp2).
    Rounding the coefficients and summing a tile, then the tiles, adds up to D u. libsvm squares the
    differences z - s, whose relative error stays below u'G (|x|^2 + |s|^2) with u' = 2^-53, and
    then adds n points one by one: D' u'. With c_i the point's greatest coefficient and t_i its
    greatest size, in total

        E = sum_i K_i [u c_i (D + G|s_i|^2 + G|x|^2) + u' t_i (D' + G|s_i|^2 + G|x|^2)]
         <= (1 + G|x|^2 / min(D, D')) sum_i K_i w_i,

    where the w_i are known beforehand: one more column of coefficients in each group. If all that
    matters of the outputs is what changes by at most sum_p v_pj |e_p| for each j, when each output
    changes by e_p (`pulls`), then c_i = max_j sum_p v_pj |c_ip| bounds that at once. Rows get a
    bound only if u G(|x|^2 + |s|^2) is `_SMALL` for every s; then `_SLACK` covers the terms of
    second order, and that the K_i in the bound are rounded ones too.
    """

    precision: Precision
    power: Power
    centre: Floats
    scale: float
    growth: float
    depth: float
    reach: float
    tiny: float
    tiles: Tiles
    picks: Indices
    bounds: Indices

    def evaluate(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return values (n, outputs) and error bounds (n, outputs or 1) for rows (n, features)."""
        moved, squares = self._augment(rows)
        sums = self.tiles.sums(moved, lambda kernel: self.power(kernel, out=kernel))
        factor = _SLACK * (1.0 + self.growth / self.depth * squares)
        factor[~(_UNITS[self.precision] * self.growth * (squares + self.reach) < _SMALL)] = np.inf
        errors = pick(sums, self.bounds) * factor[:, None] + self.tiny
        return pick(sums, self.picks), errors

    def _augment(self, rows: Floats) -> tuple[Matrix, Floats]:
        """Return [x, -g|x|^2, 1], (n, features + 2), and |x|^2, (n,)."""
        features = rows.shape[1]
        moved = np.empty((len(rows), features + 2), self.precision)
        moved[:, :features] = rows - self.centre
        exact = moved[:, :features].astype(np.float64)
        squares = np.einsum("ij,ij->i", exact, exact)
        moved[:, features] = -self.scale * squares
        moved[:, features + 1] = 1.0
        return moved, squares


def growth_of(expansion: Expansion) -> float:
    """Return G: how fast a kernel value's relative error grows, see `RbfEvaluator`."""
    features: int = expansion.points.shape[1]
    return (4.0 * features + 20.0) * expansion.gamma


@cache
def faster_power() -> Power:
    """Time both powers: exp2 takes half of exp's time with AVX-512 and twice as much with AVX2."""
    numbers = np.linspace(-20.0, 0.0, 16_384, dtype=np.float32)
    return min((np.exp2, np.exp), key=lambda power: min(repeat(lambda: power(numbers), number=3)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Depths:
    """How many roundings a term meets: `own` of them here, `theirs` in libsvm; see above."""

    unit: float
    growth: float
    own: float
    theirs: float

    @classmethod
    def of(cls, expansion: Expansion, precision: Precision) -> Self:
        """Count the roundings of a term of `expansion`."""
        count = len(expansion.points)
        return cls(
            unit=_UNITS[precision],
            growth=growth_of(expansion),
            own=POINTS + count / POINTS + len(expansion.groups) + 16.0,
            theirs=count + expansion.depth + 16.0,
        )

    def weights(self, coefs: Floats, sizes: Floats, squares: Floats) -> Floats:
        """Return the w_i of points with these c_i, t_i and |s_i|^2, (n,) each."""
        weights: Floats = self.unit * (self.own + self.growth * squares) * coefs
        weights += UNIT * (self.theirs + self.growth * squares) * sizes
        return weights


def rbf_evaluator(
    expansion: Expansion,
    precision: Precision,
    power: Power | None = None,
    pulls: Floats | None = None,
) -> RbfEvaluator | None:
    """Prepare `expansion`; None when its numbers do not fit into `precision`.

    `power` is np.exp or np.exp2, by default the faster one. With `pulls`, (outputs, n), there is
    one error bound for a row: of the most that any of n numbers changes with the outputs.
    """
    power = power or faster_power()
    points = expansion.points
    centre = points.mean(axis=0)
    scale = expansion.gamma * (1.0 if power is np.exp else log2(e))
    depths = _Depths.of(expansion, precision)
    near = (points - centre).astype(precision).astype(np.float64)
    squares = np.square(near).sum(axis=1)
    coefs, sizes = _greatest(np.abs(expansion.coefs), pulls), _greatest(expansion.sizes, pulls)
    inputs = np.column_stack([2.0 * scale * near, np.ones(len(near)), -scale * squares])
    tiles = _tiles(expansion, inputs.astype(precision), depths.weights(coefs, sizes, squares))
    weight = float(np.abs(expansion.coefs).sum())
    if not weight < _MOST or not tiles.are_finite():
        return None
    picks, bounds = _columns(expansion, one_bound=pulls is not None)
    return RbfEvaluator(
        precision=precision,
        power=power,
        centre=centre,
        scale=scale,
        growth=depths.growth,
        depth=min(depths.own, depths.theirs),
        reach=float(squares.max(initial=0.0)),
        tiny=_UNDERFLOW * (1.0 + len(points) + weight) * (1.0 if pulls is None else pulls.sum()),
        tiles=tiles,
        picks=picks,
        bounds=bounds,
    )


def _greatest(each: Floats, pulls: Floats | None) -> Floats:
    """Return what each point, (n, outputs), counts for at most, (n,)."""
    return np.asarray((each if pulls is None else each @ pulls).max(axis=1))


def _tiles(expansion: Expansion, inputs: Matrix, weights: Floats) -> Tiles:
    """Cut the groups; behind its sums, each has one more column: its bound."""
    cuts = np.cumsum([len(group.points) for group in expansion.groups])[:-1]
    parts = zip(expansion.groups, np.split(inputs, cuts), np.split(weights, cuts), strict=True)
    return Tiles.cut(
        (part, np.column_stack([group.coefs, bound]).astype(inputs.dtype))
        for group, part, bound in parts
    )


def _columns(expansion: Expansion, *, one_bound: bool) -> tuple[Indices, Indices]:
    """Return the tiles' columns that make the outputs, and those that make their bounds."""
    groups, sums = len(expansion.groups), expansion.groups[0].coefs.shape[1]
    owner, column = np.divmod(expansion.picks, sums)
    owners = np.arange(groups)[:, None] if one_bound or groups == 1 else owner
    return owner * (sums + 1) + column, owners * (sums + 1) + sums
