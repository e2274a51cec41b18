"""Figures as Markdown, and medians of runs."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

_MS: Final = 1000.0


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table; its first column is text, the others are figures."""
    rows = [list(head), ["---", *["---:"] * (len(head) - 1)], *map(list, lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed; NaN when there are none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Iterable[float]) -> float:
    """Return the median; NaN when there are no values."""
    known = list(values)
    return median(known) if known else float("nan")


def milliseconds(values: Sequence[float]) -> str:
    """Write the 50th and 99th percentile of seconds as milliseconds."""
    if not values:
        return "–"
    return f"{percentile(values, 0.5) * _MS:.1f} / {percentile(values, 0.99) * _MS:.1f}"
