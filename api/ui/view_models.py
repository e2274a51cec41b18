"""View models of the pages, computed from model manifests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from shared.models.manifest import Histogram, Manifest

# Titles of the metrics by their names in training, and whether higher values are better.
_MEASURES: Final = {
    "accuracy": ("Accuracy", True),
    "macro_f1": ("Macro F1", True),
    "log_loss": ("Log loss", False),
    "calibration_error": ("Calibration error", False),
}
_SHADES: Final = 9
_WIDTH: Final = 120.0
_HEIGHT: Final = 28.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The values of a metric for several models, in their order; None if one is missing."""

    title: str
    more_is_better: bool
    values: tuple[float | None, ...]

    @property
    def best(self) -> float | None:
        """The best value, None if all are missing."""
        known = [value for value in self.values if value is not None]
        if not known:
            return None
        return max(known) if self.more_is_better else min(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionCell:
    """The held-out rows of one class with one predicted label, and their share of the class."""

    rows: int
    share: float

    @property
    def shade(self) -> int:
        """The shade from 0 (no rows) to 9 (all rows of the class); at least 1 with any row."""
        return max(round(self.share * _SHADES), 1) if self.rows else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bin of a histogram as a rectangle; the whole histogram is 120 wide and 28 high."""

    x: float
    y: float
    width: float
    height: float


def held_out(manifest: Manifest) -> Mapping[str, Any]:
    """Return the metrics on held-out rows; empty if there are none."""
    found = manifest.metrics.get("held_out")
    return found if isinstance(found, Mapping) else {}


def baselines(manifest: Manifest) -> Mapping[str, Mapping[str, Any]]:
    """Return the metrics of simpler models on the same rows, by name."""
    found = held_out(manifest).get("baselines")
    if not isinstance(found, Mapping):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, Mapping)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMeasures:
    """Precision, recall (from 0 to 1) and held-out rows of one class; None if unknown."""

    name: str
    precision: float | None
    recall: float | None
    rows: float | None


def class_measures(manifest: Manifest) -> list[ClassMeasures]:
    """Return the metrics of each class; empty if there are none."""
    found = held_out(manifest).get("per_class")
    if not isinstance(found, Mapping):
        return []
    return [
        ClassMeasures(
            name=name,
            precision=_number(one.get("precision")),
            recall=_number(one.get("recall")),
            rows=_number(one.get("rows")),
        )
        for name, one in found.items()
        if isinstance(one, Mapping)
    ]


def row_count(facts: Mapping[str, Any]) -> str:
    """Format the member `rows` of metrics or training; empty if it is not a number."""
    rows = _number(facts.get("rows"))
    return "" if rows is None else f"{rows:,.0f}"


def measures(candidates: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """Return the metrics of `candidates` by metric; omit metrics that none of them has."""
    found = [
        Measure(
            title=title,
            more_is_better=more_is_better,
            values=tuple(_number(candidate.get(name)) for candidate in candidates),
        )
        for name, (title, more_is_better) in _MEASURES.items()
    ]
    return [measure for measure in found if measure.best is not None]


def confusion(manifest: Manifest) -> list[list[ConfusionCell]]:
    """Return the confusion matrix, a row of cells per class; empty if it is missing or invalid."""
    found: Any = held_out(manifest).get("confusion")
    if not isinstance(found, list) or len(found) > len(manifest.classes):
        return []
    if not all(isinstance(line, list) and len(line) == len(found) for line in found):
        return []
    if not all(_is_count(rows) for line in found for rows in line):
        return []
    return [
        [ConfusionCell(rows=rows, share=rows / max(sum(line), 1)) for rows in line]
        for line in found
    ]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def histogram_bars(histogram: Histogram) -> list[Bar]:
    """Return bars whose heights are densities: bins differ in width, not in number of rows."""
    edges = histogram.edges
    scale = _WIDTH / (edges[-1] - edges[0])
    # Edges may lie so far apart that the width of the narrowest bin rounds to zero.
    widths = [max((high - low) * scale, 1e-12) for low, high in pairwise(edges)]
    densities = [count / width for count, width in zip(histogram.counts, widths, strict=True)]
    max_density = max(*densities, 1e-12)
    return [
        Bar(
            x=(low - edges[0]) * scale,
            y=_HEIGHT * (1 - density / max_density),
            width=width,
            height=_HEIGHT * density / max_density,
        )
        for low, width, density in zip(edges, widths, densities, strict=False)
    ]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
