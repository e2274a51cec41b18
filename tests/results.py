"""Stored results for tests of how they are written."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from api.jobs.result_rows import ResultShape
from shared.db.queries.results import StoredInput, StoredResult
from shared.domain.chunks import Encoding
from shared.domain.csv_layout import CsvLayout
from shared.domain.jobs import Job, JobId, JobState
from shared.zstd import compress
from tests.models import a_manifest

LAYOUT = CsvLayout(
    delimiter=";",
    width=5,
    positions=(3, 0, 2),
    id_position=1,
    names=("Length", "id", "Width", "Area", "note"),
)
NO_ID = replace(LAYOUT, id_position=None)
NO_HEADER = CsvLayout(delimiter=",", width=3, positions=(0, 1, 2), id_position=None, names=())


def a_job(layout: CsvLayout | None = None, **changes: Any) -> Job:
    """Make a finished job for the model of `tests.models.a_manifest`."""
    job = Job(
        id=JobId("0190"),
        state=JobState.SUCCEEDED,
        layout=layout,
        model_name="toy",
        model_version=1,
        model_sha256="0" * 64,
        outputs=("label",),
        labels={},
        rows_total=3,
        rows_succeeded=3,
        rows_failed=0,
        attempts=1,
        summary=None,
        failure=None,
        warnings=(),
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        started_at=None,
        finished_at=None,
        expires_at=None,
    )
    return replace(job, **changes)


def a_shape(
    layout: CsvLayout | None = None,
    *,
    classes: Sequence[str] = ("a", "b", "c"),
    chances: bool = False,
    include_input: bool = False,
) -> ResultShape:
    """Return what the rows of a job have."""
    outputs = ("label", "probabilities") if chances else ("label",)
    return ResultShape(
        job=a_job(layout, outputs=outputs),
        classes=tuple(classes),
        features=tuple(feature.name for feature in a_manifest().features),
        include_input=include_input,
    )


def a_result(*labels: str | None, first_row: int = 0, **changes: Any) -> StoredResult:
    """Make the stored result of rows from JSON that got `labels`."""
    result = StoredResult(
        seq=0,
        first_row=first_row,
        first_line=0,
        row_count=len(labels),
        ids=None,
        lines=None,
        labels=list(labels),
        probabilities=None,
        errors=(),
        failure=None,
        input=None,
    )
    return replace(result, **changes)


def json_input(*rows: Sequence[float]) -> StoredInput:
    """Store rows as they come from JSON."""
    values = array("d", [value for row in rows for value in row])
    return StoredInput(encoding=Encoding.FLOAT64, body=values.tobytes())


def csv_input(*lines: str) -> StoredInput:
    """Store lines as they come from a CSV."""
    text = "".join(f"{line}\n" for line in lines)
    return StoredInput(encoding=Encoding.CSV_ZSTD, body=compress(text.encode()))


def chances(*rows: Sequence[float]) -> bytes:
    """Store probabilities as a worker does."""
    return array("f", [value for row in rows for value in row]).tobytes()
