"""What the pages show of a model's manifest, worked out for their templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from shared.models.manifest import Histogram, Manifest

# As training names them, and whether more of it is better.
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
    """One measure of several candidates, in their order; None where one has no such value."""

    title: str
    more_is_better: bool
    values: tuple[float | None, ...]

    @property
    def best(self) -> float | None:
        """Return the best value that there is."""
        known = [value for value in self.values if value is not None]
        if not known:
            return None
        return max(known) if self.more_is_better else min(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionCell:
    """Held-out rows of one class that got one label, and their share of the class as a shade."""

    rows: int
    share: float

    @property
    def shade(self) -> int:
        """Return 0 for none of the class up to 9 for all of it; any row at all is at least 1."""
        return max(round(self.share * _SHADES), 1) if self.rows else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bin of a histogram as a rectangle, 120 wide and 28 high for all of them together."""

    x: float
    y: float
    width: float
    height: float


def held_out(manifest: Manifest) -> Mapping[str, Any]:
    """Return what was measured on held-out rows; empty for a model of which nothing was."""
    found = manifest.metrics.get("held_out")
    return found if isinstance(found, Mapping) else {}


def baselines(manifest: Manifest) -> Mapping[str, Mapping[str, Any]]:
    """Return what was measured of simpler models on the same rows."""
    found = held_out(manifest).get("baselines")
    if not isinstance(found, Mapping):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, Mapping)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMeasures:
    """What was measured of one class: shares from 0 to 1, and held-out rows; None where unknown."""

    name: str
    precision: float | None
    recall: float | None
    rows: float | None


def class_measures(manifest: Manifest) -> list[ClassMeasures]:
    """Return the measures of each class; empty where nothing was measured by class."""
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
    """Write the member `rows` of metrics or training; empty where it is no number."""
    rows = _number(facts.get("rows"))
    return "" if rows is None else f"{rows:,.0f}"


def measures(candidates: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """Set the measures of `candidates` side by side, leaving out what none of them has."""
    every = [
        Measure(
            title=title,
            more_is_better=more_is_better,
            values=tuple(_number(candidate.get(name)) for candidate in candidates),
        )
        for name, (title, more_is_better) in _MEASURES.items()
    ]
    return [measure for measure in every if measure.best is not None]


def confusion(manifest: Manifest) -> list[list[ConfusionCell]]:
    """Return a row of cells for each class; empty when it was not measured."""
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
    """Draw the bins by density, because they hold about as many rows each and differ in width."""
    edges = histogram.edges
    scale = _WIDTH / (edges[-1] - edges[0])
    # Edges may lie so far apart that the narrowest bin has no width.
    widths = [max((high - low) * scale, 1e-12) for low, high in pairwise(edges)]
    densities = [count / width for count, width in zip(histogram.counts, widths, strict=True)]
    most = max(*densities, 1e-12)
    return [
        Bar(
            x=(low - edges[0]) * scale,
            y=_HEIGHT * (1 - density / most),
            width=width,
            height=_HEIGHT * density / most,
        )
        for low, width, density in zip(edges, widths, densities, strict=False)
    ]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
