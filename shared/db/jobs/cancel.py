"""Stops a job before its end: canceled by its client, expired, or failed as a whole."""

from sqlalchemy import Connection, Update, select, update

from shared.db.jobs.complete import merge_job_summary
from shared.db.queries.jobs import erase
from shared.db.schema import chunks, jobs
from shared.db.types import now
from shared.db.webhooks import enqueue_delivery
from shared.domain.jobs import ChunkState, JobId, JobState, chunk_states_before, states_before


def stop_job(connection: Connection, job: JobId, state: JobState) -> bool:
    """Move `job` to `state`, canceled or expired, and summarize the results that it keeps.

    Return False when the job had already finished.
    """
    stopped = end_job(connection, job, state)
    if stopped:
        merge_job_summary(connection, job)
    return stopped


def end_job(connection: Connection, job: JobId, state: JobState) -> bool:
    """Move `job` to `state`, and cancel all chunks that are still open.

    Return False when the job had already finished.
    """
    # Chunks before jobs, as everywhere; their results, once written, stay.
    still = select(jobs.c.id).where(jobs.c.id == job, jobs.c.state.in_(states_before(state)))
    connection.execute(_cancel(job).where(chunks.c.job_id.in_(still)))
    moved = connection.execute(
        update(jobs)
        .where(jobs.c.id == job, jobs.c.state.in_(states_before(state)))
        .values(state=state, finished_at=now(), expires_at=now(jobs.c.retention_seconds))
    )
    if moved.rowcount:
        # An upload may have added a chunk between the two; it adds no more to a stopped job.
        connection.execute(_cancel(job))
        enqueue_delivery(connection, [job])
    return moved.rowcount == 1


def is_in_state(connection: Connection, job: JobId, state: JobState) -> bool:
    """Return whether `job` is in `state`; waits for a transaction that moves it."""
    query = select(jobs.c.state).where(jobs.c.id == job).with_for_update()
    return connection.scalar(query) == state


def is_deleted(connection: Connection, job: JobId) -> bool:
    """Return whether `job` is deleted; waits for a transaction that deletes it."""
    query = select(jobs.c.deleted_at).where(jobs.c.id == job).with_for_update()
    return connection.scalar(query) is not None


def _cancel(job: JobId) -> Update:
    return (
        update(chunks)
        .where(chunks.c.job_id == job, chunks.c.state.in_(chunk_states_before(ChunkState.CANCELED)))
        .values(state=ChunkState.CANCELED, claimed_by=None, lease_until=None, next_publish_at=None)
    )


def hard_delete(connection: Connection, job: JobId) -> None:
    """Stop `job` if it still runs, and erase it with all that belongs to it."""
    end_job(connection, job, JobState.CANCELED)
    erase(connection, [job])
