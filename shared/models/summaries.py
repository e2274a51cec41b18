"""What a job's results look like as a whole: labels, rows outside the training ranges, drift."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shared.models.manifest import Feature

DIGITS: Final = 6

MIN_DRIFT_ROWS: Final = 100
"""The distribution of fewer rows says more about chance than about drift."""

_HALF: Final = 0.5


def merge_summaries(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the summaries of chunks.

    `counts` are rows by label, `out_of_range` rows by feature, `histograms` rows by feature and
    bin, of `histogram_rows` rows in all; a chunk without histograms adds nothing to these two.
    """
    counts: Counter[str] = Counter()
    out_of_range: Counter[str] = Counter()
    histograms: dict[str, list[int]] = {}
    rows = 0
    for part in parts:
        counts.update(part.get("counts", {}))
        out_of_range.update(part.get("out_of_range", {}))
        rows += part.get("histogram_rows", 0)
        for name, bins in part.get("histograms", {}).items():
            before = histograms.get(name, [0] * len(bins))
            histograms[name] = [a + b for a, b in zip(before, bins, strict=True)]
    merged = {"counts": dict(sorted(counts.items())), "out_of_range": dict(out_of_range)}
    return merged | ({"histograms": histograms, "histogram_rows": rows} if rows else {})


def drift(summary: Mapping[str, Any], features: Iterable[Feature]) -> dict[str, float]:
    """Return the stability index of each of `features` that `summary` has a histogram of.

    Without at least `MIN_DRIFT_ROWS` rows in the histograms there is none.
    """
    found = summary.get("histograms", {}) if drift_rows(summary) else {}
    pairs = (
        (feature.name, feature.histogram.counts, found.get(feature.name, ()))
        for feature in features
        if feature.histogram is not None
    )
    # Bins of another number are those of another release of the manifest.
    return {
        name: round(stability_index(expected, actual), DIGITS)
        for name, expected, actual in pairs
        if len(expected) == len(actual)
    }


def drift_rows(summary: Mapping[str, Any]) -> int:
    """Return from how many rows the drift in `summary` is computed: 0 when there are too few."""
    rows: int = summary.get("histogram_rows", 0)
    return rows if rows >= MIN_DRIFT_ROWS else 0


def stability_index(expected: Sequence[int], actual: Sequence[int]) -> float:
    """Return the population stability index of two histograms over the same bins.

    With e and a as the shares of a bin it is the sum over all bins of (a - e) · ln(a / e), as in
    N. Siddiqi, Credit Risk Scorecards (Wiley 2006), chapter 6: 0 for equal shares; by custom,
    below 0.1 nothing has changed, above 0.25 much has. Half a row is added to every bin of both,
    so that an empty bin weighs much and not infinitely. Between two samples of n and m rows from
    one population of k bins, chance alone makes it about (k - 1) · (1/n + 1/m).
    """
    index = 0.0
    for a, e in zip(_shares(actual), _shares(expected), strict=True):
        index += (a - e) * math.log(a / e)
    return index


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + _HALF * len(counts)
    return [(count + _HALF) / total for count in counts]
