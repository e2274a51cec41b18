"""What rows look like as a whole, beside those the model was trained on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.models.manifest import Feature, Histogram
from shared.models.summaries import MIN_DRIFT_ROWS
from worker.models.loader import LoadedModel

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """n rows beside their model's training.

    `usable` (n) marks the rows that got a label, `outside` (n × features) the values of those
    that lie beyond the range seen in training.
    """

    features: Sequence[Feature]
    rows: Floats
    usable: Flags
    outside: Flags

    @classmethod
    def beside(cls, model: LoadedModel, rows: Floats, usable: Flags) -> Self:
        """Look at `rows`, n × features, of which those marked `usable` count."""
        outside = ((rows < model.lows) | (rows > model.highs)) & usable[:, None]
        return cls(features=model.manifest.features, rows=rows, usable=usable, outside=outside)

    def summary(
        self, part: slice, labels: Sequence[str | None], *, has_others: bool = False
    ) -> dict[str, object]:
        """Summarise the rows in `part`, which got `labels`.

        Gives `counts` by label, `out_of_range` rows by feature and, where `part` has at least
        `MIN_DRIFT_ROWS` usable rows or its job `has_others`, their `histograms` by feature and
        their number.
        """
        counts = Counter(labels)
        # Taken out afterwards: to look at each label first takes half as long again.
        counts.pop(None, None)
        summary: dict[str, object] = {
            "counts": dict(counts),
            "out_of_range": self._out_of_range(part),
        }
        rows = counts.total()
        if rows >= MIN_DRIFT_ROWS or (rows and has_others):
            summary |= {"histograms": self._histograms(part), "histogram_rows": rows}
        return summary

    def _out_of_range(self, part: slice) -> dict[str, int]:
        outside = self.outside[part]
        if not outside.any():
            return {}
        sums = outside.sum(axis=0).tolist()
        names = (feature.name for feature in self.features)
        return {name: count for name, count in zip(names, sums, strict=True) if count}

    def _histograms(self, part: slice) -> dict[str, list[int]]:
        rows, usable = self.rows[part], self.usable[part]
        if not usable.all():
            rows = rows[usable]
        return {
            feature.name: count_bins(rows[:, at], feature.histogram)
            for at, feature in enumerate(self.features)
            if feature.histogram is not None
        }


def count_bins(values: Floats, histogram: Histogram) -> list[int]:
    """Count `values`, n finite numbers, in the bins of `histogram`."""
    # One comparison per inner edge runs at memory speed: a tenth of a binary search per value.
    column = np.ascontiguousarray(values)
    above = [np.count_nonzero(column >= edge) for edge in histogram.edges[1:-1]]
    ends = [len(column), *map(int, above), 0]
    return [upper - lower for upper, lower in pairwise(ends)]
