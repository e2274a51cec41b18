"""Stops a job before its end: canceled by its client, expired, or failed as a whole."""

from sqlalchemy import Connection, Update, select, update

from shared.db.deliveries import announce
from shared.db.jobs import erase, erase_rows
from shared.db.tables import chunks, jobs
from shared.db.types import now
from shared.domain.jobs import TERMINAL, ChunkState, JobId, JobState, chunk_sources, sources


def stop_job(connection: Connection, job: JobId, state: JobState) -> bool:
    """Move `job` to `state`, canceled or expired, with all chunks that are still open.

    Gives False when the job had already finished.
    """
    # Chunks before jobs, as everywhere; their results, once written, stay.
    still = select(jobs.c.id).where(jobs.c.id == job, jobs.c.state.in_(sources(state)))
    connection.execute(_cancel(job).where(chunks.c.job_id.in_(still)))
    moved = connection.execute(
        update(jobs)
        .where(jobs.c.id == job, jobs.c.state.in_(sources(state)))
        .values(state=state, finished_at=now(), expires_at=now(jobs.c.retention_seconds))
    )
    if moved.rowcount:
        # An upload may have added a chunk between the two; it adds no more to a stopped job.
        connection.execute(_cancel(job))
        announce(connection, [job])
    return moved.rowcount == 1


def _cancel(job: JobId) -> Update:
    return (
        update(chunks)
        .where(chunks.c.job_id == job, chunks.c.state.in_(chunk_sources(ChunkState.CANCELED)))
        .values(state=ChunkState.CANCELED, claimed_by=None, lease_until=None, next_publish_at=None)
    )


def bury(connection: Connection, job: JobId) -> bool:
    """Erase the data of `job`, which must have finished, and leave a row that says so.

    Gives False when the job still runs.
    """
    buried = connection.execute(
        update(jobs)
        .where(jobs.c.id == job, jobs.c.state.in_(TERMINAL))
        .values(deleted_at=now(), labels={}, warnings=[], layout=None, summary=None)
        .values(webhook_url=None, webhook_host=None)
    )
    if buried.rowcount:
        erase_rows(connection, [job])
    return buried.rowcount == 1


def discard(connection: Connection, job: JobId) -> None:
    """Stop `job` if it still runs, and erase it with all that belongs to it."""
    stop_job(connection, job, JobState.CANCELED)
    erase(connection, [job])
