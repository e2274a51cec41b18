"""Tables of numbers with a label for each row, read from CSV files and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.domain.errors import DryBeansError

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[Any]

_NAMED: int = 5


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
    """Rows (n, columns) and, when they are known, their labels (n,)."""

    columns: tuple[Column, ...]
    rows: Floats
    labels: Labels


def read_table(path: Path, columns: Sequence[Column], label: str) -> Table:
    """Read a CSV file with a header; columns are found by name or alias, in any order.

    Columns that nobody asked for are left out. Raises `TableRefused`, which names what is wrong.
    """
    frame = _read_csv(path)
    wanted = (*columns, Column(name=label))
    names = [_find(frame, column) for column in wanted]
    missing = [column.name for column, name in zip(wanted, names, strict=True) if name is None]
    if missing:
        there = ", ".join(map(str, frame.columns[:40]))
        raise TableRefused(f"{path} has no column {', '.join(missing)}; its columns are {there}.")
    rows = np.column_stack([_numbers(frame[name], path) for name in names[:-1]])
    labels = frame[names[-1]]
    if labels.isna().any():
        raise TableRefused(f"{path}: {_lines(labels.isna())} no {label}.")
    return Table(columns=tuple(columns), rows=rows, labels=labels.to_numpy(dtype=str))


def numeric_columns(path: Path, label: str) -> tuple[Column, ...]:
    """Name the columns of a CSV file besides `label`. Raises `TableRefused`."""
    frame = _read_csv(path)
    return tuple(Column(name=str(name)) for name in frame.columns if str(name) != label)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, float_precision="round_trip", skipinitialspace=True)
    except OSError as error:
        raise TableRefused(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:  # pandas' own parser errors among them
        raise TableRefused(f"{path} is not a CSV file ({error}).") from error
    if frame.empty:
        raise TableRefused(f"{path} has no rows.")
    return frame


def _find(frame: pd.DataFrame, column: Column) -> str | None:
    return next((str(name) for name in frame.columns if str(name) in column), None)


def _numbers(values: "pd.Series[Any]", path: Path) -> Floats:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        raise TableRefused(f"{path}: {_lines(wrong)} no number in {values.name}.")
    return numbers


def _lines(wrong: Any) -> str:
    found = np.flatnonzero(wrong) + 2
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"line {', '.join(map(str, found[:_NAMED]))}{more} has"
