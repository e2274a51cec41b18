"""Sums of kernels, tile by tile: a product of matrices, a function, a second, narrow product."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker.inference.predictor import Floats, Indices

Matrix: TypeAlias = NDArray[Any]
"""Of float32 or float64."""

ROWS: Final = 512
POINTS: Final = 128
"""A tile of float32 takes 256 kB, a part of a usual second-level cache; measured in ADR 0030."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tile:
    """A part of one group: `weights` (inputs, n), `coefs` (n, sums)."""

    group: int
    weights: Matrix
    coefs: Matrix


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tiles:
    """All groups' points, cut into tiles."""

    groups: int
    parts: tuple[_Tile, ...]

    @classmethod
    def cut(cls, groups: Iterable[tuple[Matrix, Matrix]]) -> "Tiles":
        """Cut each group, weights (n, inputs) and coefs (n, sums), into tiles of about one size."""
        listed = list(groups)
        parts = [tile for number, group in enumerate(listed) for tile in _cut(number, *group)]
        return cls(groups=len(listed), parts=tuple(parts))

    def are_finite(self) -> bool:
        """Return whether no number was too large for the precision."""
        return all(
            bool(np.isfinite(part.weights).all() and np.isfinite(part.coefs).all())
            for part in self.parts
        )

    def sums(self, inputs: Matrix, function: Callable[[Matrix], Matrix]) -> Matrix:
        """Return function(inputs @ weights) @ coefs for each group side by side, (n, all sums).

        `inputs` is (n, inputs); `function` is elementwise and may work in place.
        """
        height, width = min(len(inputs), ROWS), self.parts[0].coefs.shape[1]
        sums = np.zeros((self.groups, len(inputs), width), inputs.dtype)
        scratch = np.empty(height * POINTS, inputs.dtype)
        part = np.empty((height, width), inputs.dtype)
        for start in range(0, len(inputs), ROWS):
            block = inputs[start : start + ROWS]
            into = sums[:, start : start + ROWS]
            for tile in self.parts:
                kernel = scratch[: len(block) * len(tile.coefs)].reshape(len(block), -1)
                kernel = function(np.matmul(block, tile.weights, out=kernel))
                into[tile.group] += np.matmul(kernel, tile.coefs, out=part[: len(block)])
        return sums.transpose(1, 0, 2).reshape(len(inputs), -1)


def _cut(group: int, weights: Matrix, coefs: Matrix) -> Iterator[_Tile]:
    count = ceil(len(coefs) / POINTS)
    for part in np.array_split(np.arange(len(coefs)), count) if count else []:
        yield _Tile(
            group=group,
            weights=np.ascontiguousarray(weights[part].T),
            coefs=np.ascontiguousarray(coefs[part]),
        )


def pick(sums: Matrix, picks: Indices) -> Floats:
    """Add up the picked columns of `sums` in float64, (n, outputs); picks is (terms, outputs)."""
    total: Floats = sums.take(picks[0], axis=1).astype(np.float64)
    for columns in picks[1:]:
        total += sums.take(columns, axis=1)
    return total
