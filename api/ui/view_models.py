"""View models of the pages: a manifest's metrics, confusion matrix and histograms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from shared.models.manifest import Histogram, Manifest

# The members of a manifest's metrics: their titles, and whether a higher value is better.
_METRICS: Final = {
    "accuracy": ("Accuracy", True),
    "macro_f1": ("Macro F1", True),
    "log_loss": ("Log loss", False),
    "calibration_error": ("Calibration error", False),
}
_SHADES: Final = 9
_WIDTH: Final = 120.0
_HEIGHT: Final = 28.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of several models, in their order; None for a model without it."""

    title: str
    higher_is_better: bool
    values: tuple[float | None, ...]

    @property
    def best(self) -> float | None:
        """Return the best known value, None without one."""
        known = [value for value in self.values if value is not None]
        if not known:
            return None
        return max(known) if self.higher_is_better else min(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionCell:
    """The held-out rows of one class with one predicted label, and their share of the class."""

    rows: int
    share: float

    @property
    def shade(self) -> int:
        """Return the share scaled to 0..9, and at least 1 when there are any rows."""
        return max(round(self.share * _SHADES), 1) if self.rows else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bin of a histogram as a rectangle in a view box of 120 by 28 units."""

    x: float
    y: float
    width: float
    height: float


def held_out(manifest: Manifest) -> Mapping[str, Any]:
    """Return the metrics on held-out rows; empty without any."""
    found = manifest.metrics.get("held_out")
    return found if isinstance(found, Mapping) else {}


def baselines(manifest: Manifest) -> Mapping[str, Mapping[str, Any]]:
    """Return the metrics of the baseline models on the same rows, by model name."""
    found = held_out(manifest).get("baselines")
    if not isinstance(found, Mapping):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, Mapping)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """Precision, recall and number of held-out rows of one class; None where unknown."""

    name: str
    precision: float | None
    recall: float | None
    rows: float | None


def class_metrics(manifest: Manifest) -> list[ClassMetrics]:
    """Return the metrics of each class; empty without any."""
    found = held_out(manifest).get("per_class")
    if not isinstance(found, Mapping):
        return []
    return [
        ClassMetrics(
            name=name,
            precision=_number(one.get("precision")),
            recall=_number(one.get("recall")),
            rows=_number(one.get("rows")),
        )
        for name, one in found.items()
        if isinstance(one, Mapping)
    ]


def row_count(facts: Mapping[str, Any]) -> str:
    """Format the member `rows` of metrics or training; empty when it is not a number."""
    rows = _number(facts.get("rows"))
    return "" if rows is None else f"{rows:,.0f}"


def compare_metrics(candidates: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """Return each metric with its value for every candidate; skip those that no candidate has."""
    found = [
        Metric(
            title=title,
            higher_is_better=higher_is_better,
            values=tuple(_number(candidate.get(name)) for candidate in candidates),
        )
        for name, (title, higher_is_better) in _METRICS.items()
    ]
    return [metric for metric in found if metric.best is not None]


def confusion(manifest: Manifest) -> list[list[ConfusionCell]]:
    """Return the confusion matrix, true classes in rows; empty when it is missing or invalid."""
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
    """Return bars with heights by density: the bins are quantiles, so their counts are alike."""
    edges = histogram.edges
    scale = _WIDTH / (edges[-1] - edges[0])
    # The width of a narrow bin can underflow to zero.
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
