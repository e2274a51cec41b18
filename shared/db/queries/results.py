"""Reads results back, a chunk at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, func, literal, select

from shared.db.chunk_keys import in_state
from shared.db.queries.jobs import SELECT_JOBS, job_of_row
from shared.db.schema import chunks, inputs, jobs, results
from shared.db.types import AnyRow
from shared.domain.chunks import Encoding
from shared.domain.jobs import ChunkState, Job, JobFailure, JobId
from shared.domain.row_errors import read_errors
from shared.domain.rows import RowError

_FLOAT64_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInput:
    """A chunk's rows as they came."""

    encoding: Encoding
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """One chunk's result, as read back. `labels` is None when the chunk was given up."""

    seq: int
    first_row: int
    first_line: int
    row_count: int
    ids: Sequence[str] | None
    lines: Sequence[int] | None
    labels: Sequence[str | None] | None
    probabilities: bytes | None
    errors: tuple[RowError, ...]
    failure: JobFailure | None
    input: StoredInput | None

    def line(self, offset: int) -> int | None:
        """Return the line in the CSV of the row at `offset`, None for rows that came as JSON."""
        if self.lines is not None:
            return self.lines[offset]
        return self.first_line + offset if self.first_line else None


def read_small_results(
    connection: Connection, ids: Sequence[JobId]
) -> dict[JobId, list[StoredResult]]:
    """Read all results of the jobs `ids`, which should be small; those without are missing."""
    found: dict[JobId, list[StoredResult]] = {}
    for row in connection.execute(_READ_WHOLE, {"ids": list(ids)}):
        found.setdefault(JobId(row.job_id), []).append(_stored(row))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWithResults:
    """A job, and all results of it where these are a single one with few rows."""

    job: Job
    results: Sequence[StoredResult] | None


def read_jobs_with_results(
    connection: Connection, ids: Sequence[JobId], most: int
) -> dict[JobId, JobWithResults]:
    """Read the jobs `ids`, with the results of those that have one chunk of up to `most` rows."""
    rows = connection.execute(_READ_WHOLE_JOBS, {"ids": list(ids), "most": most})
    return {JobId(row.id): _whole_job(row) for row in rows}


def _whole_job(row: AnyRow) -> JobWithResults:
    found = None
    if row.result_seq is not None:
        values = {name: getattr(row, f"result_{name}") for name in _RESULT_NAMES}
        found = [_stored(SimpleNamespace(**values, encoding=None))]
    return JobWithResults(job=job_of_row(row), results=found)


def read_results(connection: Connection, job: JobId, first: int, last: int) -> list[StoredResult]:
    """Read the results that hold any of the rows `first` to `last` - 1 of `job`, in order.

    A chunk without a result is missing from the list.
    """
    query = _query_rows(job, first, last, with_input=False)
    return [_stored(row) for row in connection.execute(query)]


def first_result(
    connection: Connection, job: JobId, first: int, last: int, *, with_input: bool
) -> StoredResult | None:
    """Read the first result that holds any of the rows `first` to `last` - 1 of `job`, or None."""
    row = connection.execute(_query_rows(job, first, last, with_input=with_input).limit(1)).first()
    return None if row is None else _stored(row)


def _query_rows(job: JobId, first: int, last: int, *, with_input: bool) -> Select[*tuple[Any, ...]]:
    # The slim rows of `chunks` say which results to read; a result's own row may be megabytes.
    ends = select(func.max(chunks.c.seq)).where(chunks.c.job_id == job)
    query = _query(with_input=with_input).where(
        results.c.job_id == job,
        results.c.seq >= ends.where(chunks.c.first_row <= first).scalar_subquery(),
        results.c.seq <= ends.where(chunks.c.first_row < last).scalar_subquery(),
    )
    return query.order_by(results.c.seq)


def next_result(
    connection: Connection, job: JobId, after: int, *, with_input: bool, only_errors: bool = False
) -> StoredResult | None:
    """Read the first result of `job` whose chunk comes after chunk number `after`, or None."""
    query = _query(with_input=with_input).where(results.c.job_id == job, results.c.seq > after)
    if only_errors:
        query = query.where(results.c.errors.is_not(None) | results.c.error_code.is_not(None))
    row = connection.execute(query.order_by(results.c.seq).limit(1)).first()
    return None if row is None else _stored(row)


def next_row(connection: Connection, job: JobId, first: int) -> int | None:
    """Return the first row of `job` from row `first` on whose chunk has a result, or None."""
    row = connection.execute(
        select(chunks.c.first_row)
        .where(
            chunks.c.job_id == job,
            chunks.c.first_row + chunks.c.row_count > first,
            in_state(ChunkState.DONE, ChunkState.FAILED),
        )
        .order_by(chunks.c.seq)
        .limit(1)
    ).first()
    return None if row is None else max(first, row.first_row)


def read_input_width(connection: Connection, job: JobId) -> int:
    """Return how many numbers a row of `job`, whose rows came as JSON, has; 0 without any row."""
    same = and_(inputs.c.job_id == chunks.c.job_id, inputs.c.seq == chunks.c.seq)
    row = connection.execute(
        select(func.length(inputs.c.body).label("bytes"), chunks.c.row_count)
        .join(chunks, same)
        .where(inputs.c.job_id == job, inputs.c.encoding == Encoding.FLOAT64)
        .order_by(inputs.c.seq)
        .limit(1)
    ).first()
    return 0 if row is None else int(row.bytes) // (_FLOAT64_BYTES * row.row_count)


def _query(*, with_input: bool) -> Select[*tuple[Any, ...]]:
    if not with_input:
        return select(results, literal(None).label("encoding"), literal(None).label("body"))
    same = and_(inputs.c.job_id == results.c.job_id, inputs.c.seq == results.c.seq)
    return select(results, *inputs.c["encoding", "body"]).outerjoin(inputs, same)


_READ_WHOLE = (
    _query(with_input=False)
    .where(results.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(results.c.job_id, results.c.seq)
)
# A small job that was waited for: one round trip where reading both apart would be two.
_RESULT_NAMES = [column.name for column in results.c if column.name != "summary"]
_READ_WHOLE_JOBS = (
    SELECT_JOBS.add_columns(*(results.c[name].label(f"result_{name}") for name in _RESULT_NAMES))
    .outerjoin(
        results,
        and_(
            results.c.job_id == jobs.c.id,
            results.c.seq == 0,
            jobs.c.chunks_total == 1,
            results.c.row_count <= bindparam("most"),
        ),
    )
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
)


def _share(labels: Sequence[str | None] | None) -> Sequence[str | None] | None:
    """Keep each label once: a response that is read slowly holds those of a whole chunk."""
    known: dict[str | None, str | None] = {}
    return labels if labels is None else [known.setdefault(label, label) for label in labels]


def _stored(row: AnyRow | SimpleNamespace) -> StoredResult:
    failure = JobFailure(code=row.error_code, detail=row.error_detail) if row.error_code else None
    body = StoredInput(encoding=Encoding(row.encoding), body=row.body) if row.encoding else None
    return StoredResult(
        seq=row.seq,
        first_row=row.first_row,
        first_line=row.first_line,
        row_count=row.row_count,
        ids=row.ids,
        lines=row.lines,
        labels=_share(row.labels),
        probabilities=row.probabilities,
        errors=read_errors(row.errors),
        failure=failure,
        input=body,
    )
