"""Reads and erases jobs."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, select

from shared.db.tables import chunks, deliveries, idempotency_keys, inputs, job_labels, jobs, results
from shared.db.types import AnyRow
from shared.domain.csv_layout import CsvLayout
from shared.domain.jobs import Job, JobFailure, JobId, JobState, Queue

JOB_COLUMNS = jobs.c[
    "id", "owner", "state", "queue", "layout", "model_name", "model_version", "model_sha256",
    "outputs", "labels", "warnings", "rows_total", "rows_succeeded", "rows_failed",
    "chunks_total", "attempts", "summary", "error_code", "error_detail", "created_at",
    "started_at", "finished_at", "expires_at", "deleted_at", "retry_of",
    "webhook_url",
]  # fmt: skip


# A job of one chunk keeps its summary with that chunk's result. Built once: building a statement
# costs as much as running it.
ONLY_CHUNK = and_(results.c.job_id == jobs.c.id, results.c.seq == 0, jobs.c.chunks_total == 1)
_READ_JOBS = (
    select(*JOB_COLUMNS, results.c.summary.label("only_summary"))
    .outerjoin(results, ONLY_CHUNK)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
)


def read_jobs(connection: Connection, ids: Sequence[JobId]) -> dict[JobId, Job]:
    """Read the jobs `ids`; those that are not there are missing."""
    rows = connection.execute(_READ_JOBS, {"ids": list(ids)})
    return {JobId(row.id): job_of_row(row) for row in rows}


def read_job(connection: Connection, job: JobId) -> Job | None:
    """Read one job, or None when there is none."""
    return read_jobs(connection, [job]).get(job)


def stored_job(connection: Connection, job: JobId) -> JobState | None:
    """Give the state of `job`, or None when there is none."""
    state = connection.scalar(select(jobs.c.state).where(jobs.c.id == job))
    return None if state is None else JobState(state)


def job_of_row(row: AnyRow) -> Job:
    """Make a job of a row of `JOB_COLUMNS`, with the summary of its only chunk if there is one."""
    failure = JobFailure(code=row.error_code, detail=row.error_detail) if row.error_code else None
    return Job(
        id=row.id,
        owner=row.owner,
        state=JobState(row.state),
        layout=CsvLayout.of(row.layout) if row.layout else None,
        model_name=row.model_name,
        model_version=row.model_version,
        model_sha256=row.model_sha256,
        outputs=tuple(row.outputs),
        queue=Queue(row.queue),
        labels=row.labels,
        rows_total=row.rows_total,
        rows_succeeded=row.rows_succeeded,
        rows_failed=row.rows_failed,
        attempts=row.attempts,
        summary=row.summary or getattr(row, "only_summary", None),
        failure=failure,
        warnings=tuple(row.warnings),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
        deleted_at=row.deleted_at,
        retry_of=None if row.retry_of is None else JobId(row.retry_of),
        webhook_url=row.webhook_url,
    )


def erase(connection: Connection, ids: Sequence[JobId]) -> None:
    """Delete `ids` with everything that belongs to them."""
    erase_rows(connection, ids)
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.job_id.in_(sorted(ids))))
    connection.execute(delete(jobs).where(jobs.c.id.in_(sorted(ids))))


def erase_first(connection: Connection, old: Select[*tuple[Any, ...]], limit: int) -> int:
    """Erase the first jobs of `old`, which gives ids and `chunks_total`; count the jobs.

    With up to `limit` chunks, so that a transaction stays short; one job at least.
    """
    found = connection.execute(old.limit(limit)).all()
    sums = accumulate(job.chunks_total for job in found)
    ids = [JobId(job.id) for job, sum_ in zip(found, sums, strict=True) if sum_ <= limit]
    ids = ids or [JobId(job.id) for job in found[:1]]
    if ids:
        erase(connection, ids)
    return len(ids)


def erase_rows(connection: Connection, ids: Sequence[JobId]) -> None:
    """Delete all chunks, inputs, results and deliveries of `ids`."""
    for table in (results, inputs, chunks, job_labels, deliveries):
        connection.execute(delete(table).where(table.c.job_id.in_(sorted(ids))))
