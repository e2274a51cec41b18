"""What the service tells, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

FINISHED: Final = frozenset({"succeeded", "partial", "failed", "canceled", "expired"})
"""The states in which nothing about a job changes any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How many rows a job has, and how many of them have a label or an error."""

    total: int
    succeeded: int
    failed: int

    @property
    def tried(self) -> int:
        """Count the rows that have been tried."""
        return self.succeeded + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a row has no label, or a job has none at all; `field` is the column, if it is one."""

    code: str
    detail: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it was when the service was asked; `document` is all that was said.

    `counts` is the number of rows for each label, empty until the job has finished.
    """

    id: str
    state: str
    model: str
    rows: Rows
    progress: float
    eta_seconds: float | None
    counts: Mapping[str, int]
    error: Reason | None
    warnings: tuple[str, ...]
    labels: Mapping[str, str]
    created_at: datetime
    finished_at: datetime | None
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def finished(self) -> bool:
        """Return whether nothing about this job will change any more."""
        return self.state in FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The outcome of one row: a `label`, or the `error` that says why there is none.

    `row` counts from 0; `line` is the line in a CSV; `id` is the row's own.
    """

    row: int
    line: int | None
    id: str | None
    label: str | None
    probabilities: Mapping[str, float] | None
    error: Reason | None
    input: Mapping[str, Any] | None
    document: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRow:
    """A row without a label, where it stands (`line` in a CSV, else `row`), and the reason."""

    line: int | None
    row: int | None
    error: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What would become of rows as a job: how many could be used, and why others could not.

    `errors` are the first 100 of them.
    """

    model: str
    rows: int
    usable: int
    errors: tuple[FailedRow, ...]
    warnings: tuple[str, ...]
    document: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A version of a model. A list of models leaves `features` and `metrics` empty."""

    name: str
    version: int
    default: bool
    description: str
    classes: tuple[str, ...]
    outputs: tuple[str, ...]
    features: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False, compare=False)
