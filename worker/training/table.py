"""Tables of numbers with a label for each row, read from CSV files and checked."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.domain.errors import DryBeansError

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[Any]

_NAMED: Final = 5
_LISTED: Final = 40


class TableRefused(DryBeansError):
    """The table cannot be trained on."""

    code = "table_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that a model takes; `aliases` are other names that files use for it."""

    name: str
    unit: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name.strip().lower() in {spelt.lower() for spelt in (self.name, *self.aliases)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Rows (n, columns) and their labels (n,)."""

    columns: tuple[Column, ...]
    rows: Floats
    labels: Labels

    def take(self, indices: NDArray[np.intp]) -> "Table":
        """Return the rows at `indices`, in that order."""
        return Table(columns=self.columns, rows=self.rows[indices], labels=self.labels[indices])


def read_table(path: Path, columns: Sequence[Column], label: str) -> Table:
    """Read a CSV file with a header; columns are found by name or alias, in any order.

    Columns that nobody asked for are left out. Raises `TableRefused`, which names what is wrong.
    """
    frame = read_frame(path)
    try:
        _names(frame, (*columns, Column(name=label)))
        return table_of(frame, columns, labels=label_column(frame, label))
    except TableRefused as error:
        raise TableRefused(f"{path}: {error.detail}") from error


def read_frame(path: Path) -> pd.DataFrame:
    """Read a CSV file with a header. Raises `TableRefused`."""
    try:
        frame = pd.read_csv(path, skipinitialspace=True)
    except OSError as error:
        raise TableRefused(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:  # pandas' own parser errors among them
        raise TableRefused(f"{path} is not a CSV file ({error}).") from error
    if frame.empty:
        raise TableRefused(f"{path} has no rows.")
    return frame


def table_of(frame: pd.DataFrame, columns: Sequence[Column], *, labels: Labels) -> Table:
    """Take `columns` out of `frame`, by name or alias. Raises `TableRefused`."""
    rows = np.column_stack([_numbers(frame[name]) for name in _names(frame, columns)])
    return Table(columns=tuple(columns), rows=rows, labels=labels)


def label_column(frame: pd.DataFrame, label: str) -> Labels:
    """Take the labels, as text, out of column `label`. Raises `TableRefused`."""
    (name,) = _names(frame, [Column(name=label)])
    if frame[name].isna().any():
        raise TableRefused(f"{_lines(frame[name].isna())} no {label}.")
    return np.array([str(found) for found in frame[name]])


def _names(frame: pd.DataFrame, columns: Sequence[Column]) -> list[Hashable]:
    """Find out how `frame` spells `columns`; one that is missing refuses the frame."""
    found = [[name for name in frame.columns if str(name) in column] for column in columns]
    missing = [column.name for column, names in zip(columns, found, strict=True) if not names]
    if missing:
        there = ", ".join(map(str, frame.columns[:_LISTED]))
        raise TableRefused(f"there is no column {', '.join(missing)}; the columns are {there}.")
    return [names[0] for names in found]


def _numbers(values: "pd.Series[Any]") -> Floats:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise TableRefused(f"{_lines(wrong)} no number in {values.name}.")
    return numbers


def _lines(wrong: "pd.Series[bool] | NDArray[np.bool_]") -> str:
    found = np.flatnonzero(wrong) + 2
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"line {', '.join(map(str, found[:_NAMED]))}{more} has"
