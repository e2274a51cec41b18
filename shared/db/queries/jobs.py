"""Reads and erases jobs."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, bindparam, delete, select

from shared.db.schema import chunks, deliveries, idempotency_keys, inputs, job_labels, jobs, results
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


# A job of one chunk keeps its summary with that chunk's result. Whoever reads jobs reads both.
_ONLY_RESULT = results.alias("only_result")
SELECT_JOBS = select(*JOB_COLUMNS, _ONLY_RESULT.c.summary.label("only_summary")).outerjoin(
    _ONLY_RESULT,
    and_(_ONLY_RESULT.c.job_id == jobs.c.id, _ONLY_RESULT.c.seq == 0, jobs.c.chunks_total == 1),
)
# Built once: building a statement costs as much as running it.
_READ_JOBS = SELECT_JOBS.where(jobs.c.id.in_(bindparam("ids", expanding=True)))


def read_jobs(connection: Connection, ids: Sequence[JobId]) -> dict[JobId, Job]:
    """Read the jobs `ids`; those that are not there are missing."""
    rows = connection.execute(_READ_JOBS, {"ids": list(ids)})
    return {JobId(row.id): job_of_row(row) for row in rows}


def read_job(connection: Connection, job: JobId) -> Job | None:
    """Read one job, or None when there is none."""
    return read_jobs(connection, [job]).get(job)


def get_stored_job(connection: Connection, job: JobId) -> JobState | None:
    """Return the state of `job`, or None when there is none."""
    state = connection.scalar(select(jobs.c.state).where(jobs.c.id == job))
    return None if state is None else JobState(state)


def are_stored(connection: Connection, ids: Collection[JobId]) -> bool:
    """Return whether all jobs `ids` are committed; waits for a transaction that inserts them."""
    found = connection.scalars(
        select(jobs.c.id).where(jobs.c.id.in_(sorted(ids))).with_for_update()
    )
    return set(found) == set(ids)


def job_of_row(row: AnyRow) -> Job:
    """Return the job of a row of `SELECT_JOBS`."""
    failure = JobFailure(code=row.error_code, detail=row.error_detail) if row.error_code else None
    return Job(
        id=row.id,
        owner=row.owner,
        state=JobState(row.state),
        layout=CsvLayout.from_document(row.layout) if row.layout else None,
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
        summary=row.summary or row.only_summary,
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


def erase_rows(connection: Connection, ids: Sequence[JobId]) -> None:
    """Delete all chunks, inputs, results and deliveries of `ids`."""
    for table in (results, inputs, chunks, job_labels, deliveries):
        connection.execute(delete(table).where(table.c.job_id.in_(sorted(ids))))
