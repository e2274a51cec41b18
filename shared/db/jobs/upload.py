"""Uploads: a job that grows chunk by chunk while workers already run its first ones."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, case, insert, select, update

from shared.db.idempotency import complete_key, delete_key_of
from shared.db.jobs.cancel import end_job
from shared.db.jobs.complete import advance_jobs, record_failure
from shared.db.jobs.submit import chunk_row, input_row, insert_job
from shared.db.queries.jobs import get_stored_job
from shared.db.row_quota import check_more_rows
from shared.db.schema import chunks as chunk_table
from shared.db.schema import inputs, jobs
from shared.db.sweeps.prune import schedule_purge
from shared.db.types import now
from shared.domain.chunks import Dispatch, DispatchPolicy, NewChunk, Submission
from shared.domain.errors import UploadIncomplete, UploadStopped
from shared.domain.jobs import ChunkRef, JobFailure, JobId, JobState, Queue

_NO_ROWS: Final = dict.fromkeys(
    (
        *("rows_total", "rows_succeeded", "rows_failed"),
        *("chunks_total", "chunks_finished", "chunks_released"),
    ),
    0,
) | {"summary": None}
_INCOMPLETE: Final = UploadIncomplete()
UPLOAD_INCOMPLETE: Final = JobFailure(code=_INCOMPLETE.code, detail=_INCOMPLETE.detail)


def begin_upload(
    connection: Connection, submission: Submission, outbox: DispatchPolicy, patience: timedelta
) -> None:
    """Insert the job of an upload, as yet without chunks; the first must come within `patience`."""
    if get_stored_job(connection, submission.id) is None:
        insert_job(connection, submission, outbox)
        soon = update(jobs).where(jobs.c.id == submission.id)
        connection.execute(soon.values(deadline_at=now(patience.total_seconds())))


def add_chunk(
    connection: Connection,
    submission: Submission,
    chunk: NewChunk,
    outbox: DispatchPolicy,
    patience: timedelta,
) -> list[Dispatch]:
    """Add `chunk` to the job of `submission`, and give it back if it is to be published now.

    The next chunk must come within `patience`. Raises `UploadStopped` when the job has ended
    meanwhile, and `QuotaExceeded`. Safe to run again after a lost connection.
    """
    job = connection.execute(
        select(*jobs.c["state", "chunks_total", "chunks_finished", "chunks_released"])
        .where(jobs.c.id == submission.id)
        .with_for_update()
    ).one_or_none()
    if job is None or job.state != JobState.RECEIVING:
        raise UploadStopped(f"The job {submission.id} is {job.state if job else 'deleted'}.")
    if job.chunks_total > chunk.seq:
        released = chunk.seq < job.chunks_released
    else:
        check_more_rows(connection, submission.owner, chunk.row_count, submission.row_quota)
        # In order: a chunk is released only when all before it are.
        before = job.chunks_released == chunk.seq
        released = before and chunk.seq < job.chunks_finished + outbox.window
        again = now(outbox.republish_after.total_seconds())
        row = chunk_row(submission, chunk, outbox, released=released)
        row["next_publish_at"] = again if released else None
        connection.execute(insert(chunk_table).values(row))
        connection.execute(insert(inputs), [input_row(submission, chunk)])
        _grow(connection, submission.id, chunk, released=released, patience=patience)
    return [_dispatch(submission, chunk)] if released else []


def _grow(
    connection: Connection, job: JobId, chunk: NewChunk, *, released: bool, patience: timedelta
) -> None:
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job)
        .values(
            rows_total=jobs.c.rows_total + chunk.row_count,
            chunks_total=chunk.seq + 1,
            chunks_released=jobs.c.chunks_released + int(released),
            deadline_at=now(patience.total_seconds()),
        )
    )


def _dispatch(submission: Submission, chunk: NewChunk) -> Dispatch:
    return Dispatch(
        ref=ChunkRef(job=submission.id, seq=chunk.seq),
        queue=Queue(submission.queue),
        row_count=chunk.row_count,
        own_message=True,
        trace=submission.trace,
    )


def complete_upload(
    connection: Connection, submission: Submission, outbox: DispatchPolicy
) -> list[Dispatch]:
    """Close an upload whose last chunk has been stored; give the chunks to publish, if any.

    The fingerprint of its idempotency key is known by now. Raises `UploadStopped` when the job
    has ended meanwhile. Safe to run again after a lost connection.
    """
    moved = connection.execute(
        update(jobs)
        .where(jobs.c.id == submission.id, jobs.c.state == JobState.RECEIVING)
        .values(
            state=case((jobs.c.started_at.is_(None), JobState.QUEUED), else_=JobState.RUNNING),
            deadline_at=submission.deadline_at,
        )
    )
    if not moved.rowcount:
        if is_completed(connection, submission):
            # A first run was committed and its answer lost: the sweep publishes.
            return []
        raise UploadStopped(f"The job {submission.id} has ended before its upload did.")
    if submission.idempotency is not None:
        complete_key(connection, submission.owner, submission.idempotency)
    moves = advance_jobs(connection, {submission.id: []}, outbox)
    return [dispatch for move in moves for dispatch in move.freed]


def has_chunk(connection: Connection, ref: ChunkRef) -> bool:
    """Return whether a chunk is committed; waits for a transaction that inserts it."""
    query = select(chunk_table.c.seq).where(
        chunk_table.c.job_id == ref.job, chunk_table.c.seq == ref.seq
    )
    return connection.scalar(query.with_for_update()) is not None


def is_completed(connection: Connection, submission: Submission) -> bool:
    """Return whether the upload of `submission` is completed; waits for who completes it."""
    # Only a completed upload has the deadline of a whole job.
    deadline = select(jobs.c.deadline_at).where(jobs.c.id == submission.id).with_for_update()
    return connection.scalar(deadline) == submission.deadline_at


def end_upload(connection: Connection, job: JobId, state: JobState, failure: JobFailure) -> bool:
    """Move a job whose upload did not complete to `state`, failed or canceled.

    None of its rows is kept, and it counts none: half a file must not pass for all of it. Return
    False when the job was not receiving any more.
    """
    receiving = select(jobs.c.id).where(jobs.c.id == job, jobs.c.state == JobState.RECEIVING)
    if connection.scalar(receiving.with_for_update()) is None:
        return False
    end_job(connection, job, state)
    record_failure(connection, job, failure)
    delete_key_of(connection, job)
    connection.execute(update(jobs).where(jobs.c.id == job).values(_NO_ROWS))
    schedule_purge(connection, [job])
    return True
