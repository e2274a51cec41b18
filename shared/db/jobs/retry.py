"""Runs again what a finished job did not: as a new job, for finished ones never change."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, literal, select

from shared.db.queries.jobs import get_stored_job
from shared.db.row_quota import check_more_rows, read_row_quota
from shared.db.schema import chunks, inputs, jobs
from shared.db.types import AnyRow
from shared.domain.chunks import Dispatch, DispatchPolicy
from shared.domain.errors import JobNotFound, JobUnfinished, NothingToRetry
from shared.domain.jobs import TERMINAL, ChunkRef, ChunkState, JobId, JobState, Queue

_UNRUN = (ChunkState.FAILED, ChunkState.CANCELED, ChunkState.PENDING, ChunkState.RUNNING)
_KEPT = (
    "owner", "queue", "model_name", "model_version", "model_sha256", "outputs", "labels",
    "warnings", "layout", "max_errors", "retention_seconds", "webhook_url", "webhook_host",
)  # fmt: skip


def retry_job(
    connection: Connection, job: JobId, retry: JobId, created_at: datetime, outbox: DispatchPolicy
) -> list[Dispatch]:
    """Make `retry`, a job of those chunks of `job` that have no labels, and give what to publish.

    Its rows are numbered anew; the lines of a CSV keep their numbers. Its time limit is as long
    as that of `job` was. Raises `JobNotFound`, `JobUnfinished`, `NothingToRetry` and, when the row
    quota of its API key does not admit it, `QuotaExceeded` or `BodyTooLarge`.
    """
    if get_stored_job(connection, retry) is not None:
        # A first try was committed and its answer lost: the sweep publishes.
        return []
    old = connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()
    if old is None or old.deleted_at is not None:
        raise JobNotFound
    if JobState(old.state) not in TERMINAL:
        raise JobUnfinished
    # The rows of an upload that did not complete are waiting to be purged.
    again = _unrun(connection, job) if old.chunks_total else []
    if not again:
        raise NothingToRetry
    rows = sum(chunk.row_count for chunk in again)
    check_more_rows(connection, old.owner, rows, read_row_quota(connection, old.owner))
    renumbered = _renumbered(again, retry, outbox, created_at)
    connection.execute(insert(jobs), [_job(old, retry, renumbered, created_at)])
    connection.execute(insert(chunks), renumbered)
    for old_chunk, new_chunk in zip(again, renumbered, strict=True):
        _copy_input(connection, job, old_chunk.seq, new_chunk)
    return [
        Dispatch(
            ref=ChunkRef(job=retry, seq=row["seq"]),
            queue=Queue(old.queue),
            row_count=row["row_count"],
            own_message=True,
        )
        for row in renumbered[: outbox.window]
    ]


def _unrun(connection: Connection, job: JobId) -> list[Any]:
    same = and_(inputs.c.job_id == chunks.c.job_id, inputs.c.seq == chunks.c.seq)
    query = (
        select(*chunks.c["seq", "queue", "first_line", "row_count"])
        .join(inputs, same)
        .where(chunks.c.job_id == job, chunks.c.state.in_(_UNRUN))
        .order_by(chunks.c.seq)
    )
    return list(connection.execute(query))


def _renumbered(
    again: list[Any], retry: JobId, outbox: DispatchPolicy, created_at: datetime
) -> list[dict[str, Any]]:
    rows = []
    first_row = 0
    for seq, chunk in enumerate(again):
        released = seq < outbox.window
        rows.append(
            {
                "job_id": retry,
                "seq": seq,
                "state": ChunkState.PENDING,
                "queue": chunk.queue,
                "first_row": first_row,
                "first_line": chunk.first_line,
                "row_count": chunk.row_count,
                "fence": 0,
                "attempt": 0,
                "next_publish_at": created_at + outbox.republish_after if released else None,
                "publishes": int(released),
            }
        )
        first_row += chunk.row_count
    return rows


def _job(
    old: AnyRow, retry: JobId, again: list[dict[str, Any]], created_at: datetime
) -> dict[str, Any]:
    released = sum(row["publishes"] for row in again)
    return {name: getattr(old, name) for name in _KEPT} | {
        "id": retry,
        "retry_of": old.id,
        "state": JobState.QUEUED,
        "rows_total": sum(row["row_count"] for row in again),
        "rows_succeeded": 0,
        "rows_failed": 0,
        "chunks_total": len(again),
        "chunks_finished": 0,
        "chunks_released": released,
        "attempts": 0,
        "created_at": created_at,
        "deadline_at": created_at + (old.deadline_at - old.created_at),
    }


def _copy_input(connection: Connection, job: JobId, seq: int, new_chunk: dict[str, Any]) -> None:
    body = select(
        literal(new_chunk["job_id"]),
        literal(new_chunk["seq"]),
        *inputs.c["encoding", "body", "errors"],
    ).where(inputs.c.job_id == job, inputs.c.seq == seq)
    columns = ["job_id", "seq", "encoding", "body", "errors"]
    connection.execute(insert(inputs).from_select(columns, body))
