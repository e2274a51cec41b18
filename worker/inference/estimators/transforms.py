"""Carries rows through a pipeline's transformers: the same numbers as scikit-learn, to the bit."""

from copy import copy
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from worker.inference.predictor import Floats, Indices

_COLUMNWISE: Final = frozenset(
    {
        MaxAbsScaler,
        MinMaxScaler,
        PowerTransformer,
        QuantileTransformer,
        RobustScaler,
        StandardScaler,
    }
)
"""These treat every number by itself, so rows may be taken in blocks of any size."""


class Step(Protocol):
    """Transforms rows."""

    def __call__(self, rows: Floats) -> Floats:
        """Transform rows; NaN throughout when scikit-learn refuses them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StockStep:
    """Asks the transformer itself."""

    transformer: Any

    def __call__(self, rows: Floats) -> Floats:
        """Transform rows; those that the transformer refuses become NaN."""
        known = np.isfinite(rows).all(axis=1)
        if known.all():
            return self._transform(rows)
        answer = np.full_like(rows, np.nan)
        if known.any():
            answer[known] = self._transform(rows[known])
        return answer

    def _transform(self, rows: Floats) -> Floats:
        try:
            return np.asarray(self.transformer.transform(rows), dtype=np.float64)
        except ValueError:
            if len(rows) == 1:
                return np.full_like(rows, np.nan)
            half = len(rows) // 2
            return np.vstack([self._transform(rows[:half]), self._transform(rows[half:])])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerStep:
    """A Yeo-Johnson transform of all columns at once.

    SciPy's `yeojohnson` takes one column after the other and computes expm1(p log1p(|x|)) / p with
    x's sign, where p is lambda for x >= 0 and 2 - lambda for x < 0. The same functions of a whole
    block give the same bits in a third of the time, and of a single row in a hundredth.
    """

    lambdas: Floats
    mean: Floats
    scale: Floats

    def __call__(self, rows: Floats) -> Floats:
        """Transform rows; those that overflow become infinite or NaN."""
        negative = rows < 0.0
        power, block = self.lambdas, rows
        if negative.any():
            power, block = np.where(negative, 2.0 - self.lambdas, self.lambdas), np.abs(rows)
        block = np.log1p(block)
        block *= power
        np.expm1(block, out=block)
        block /= power
        np.negative(block, out=block, where=negative)
        block -= self.mean
        block /= self.scale
        return block


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ColumnsStep:
    """Picks some columns."""

    columns: Indices

    def __call__(self, rows: Floats) -> Floats:
        """Return the picked columns of rows."""
        return rows.take(self.columns, axis=1)


def _read_columns(picker: Any) -> ColumnsStep | None:  # noqa: ANN401 - a ColumnTransformer
    """Read a transformer that passes some columns through, by number, and drops the others."""
    columns = np.asarray(picker.transformers[0][2])
    plain = len(picker.transformers) == 1 and picker.remainder == "drop"
    passes = isinstance(picker.transformers[0][1], str) and picker.transformers[0][1] != "drop"
    if not plain or not passes or columns.ndim != 1 or columns.dtype.kind != "i":
        return None
    return ColumnsStep(columns=columns.astype(np.intp))


def read_step(transformer: Any) -> Step | None:  # noqa: ANN401 - any transformer
    """Prepare a fitted transformer; None when it is not one of those known to work by numbers."""
    if type(transformer) is ColumnTransformer:
        return _read_columns(transformer)
    if type(transformer) not in _COLUMNWISE:
        return None
    # It is given arrays, of which it would warn had it column names, and which are not its own.
    bare = copy(transformer)
    vars(bare).pop("feature_names_in_", None)
    bare.copy = True
    if type(bare) is PowerTransformer and bare.method == "yeo-johnson" and bare.standardize:
        lambdas = np.asarray(bare.lambdas_, dtype=np.float64)
        # At 0 and 2 the transform is a logarithm.
        if not np.isclose(lambdas[:, None], (0.0, 2.0), rtol=0.0, atol=1e-12).any():
            scaler = bare._scaler  # noqa: SLF001 - it has no public name
            return PowerStep(lambdas=lambdas, mean=scaler.mean_, scale=scaler.scale_)
    return StockStep(transformer=bare)
