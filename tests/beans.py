"""Beans as a CSV: the golden rows of the default model, whose labels are known."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from shared.models.manifest import Manifest
from shared.models.registry import ModelRegistry
from tests.service import MODEL_ROOT

COUNT: Final = 21


@cache
def default_model() -> Manifest:
    """Return the manifest of the model that jobs get when they name none."""
    return ModelRegistry.read(MODEL_ROOT).resolve("drybeans")


def names() -> list[str]:
    """Name the columns, in the model's order."""
    return [feature.name for feature in default_model().features]


def beans(count: int = COUNT) -> list[list[str]]:
    """Write the numbers of `count` beans of every kind; as many as are asked for."""
    rows = default_model().golden.rows
    return [[repr(value) for value in rows[at * 5 % len(rows)]] for at in range(count)]


def bean_labels(count: int = COUNT) -> list[str]:
    """Return the labels of `beans`."""
    labels = default_model().golden.labels
    return [labels[at * 5 % len(labels)] for at in range(count)]


def written(lines: Iterable[Sequence[str]], *, delimiter: str = ",", end: str = "\n") -> str:
    """Write lines of cells as a CSV."""
    return "".join(delimiter.join(cells) + end for cells in lines)


def a_csv(count: int = COUNT, *, delimiter: str = ",", end: str = "\n") -> str:
    """Write `count` beans under a header."""
    return written([names(), *beans(count)], delimiter=delimiter, end=end)
