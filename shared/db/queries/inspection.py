"""How the work stands, for those who look after it; no query reads more than a bound."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select

from shared.db.queries.jobs import SELECT_JOBS, job_of_row
from shared.db.schema import chunks, jobs
from shared.db.types import AnyRow, now
from shared.domain.jobs import ChunkRef, ChunkState, Job, JobId, JobState, Queue

MAX_COUNTED: Final = 100_000
"""Counting ends here: one more means that there are more."""

_LOOKED_AT: Final = 5_000
_OFTEN: Final = 3
_GRACE: Final = timedelta(seconds=5)

_SHOWN = chunks.c[
    "job_id", "seq", "state", "queue", "row_count", "attempt", "publishes", "claimed_by",
    "lease_until", "next_publish_at", "error_detail",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkStatus:
    """A chunk and how it stands."""

    ref: ChunkRef
    state: ChunkState
    queue: Queue
    rows: int
    attempt: int
    publishes: int
    claimed_by: str | None
    lease_until: datetime | None
    next_publish_at: datetime | None
    error: str | None


def read_clock(connection: Connection) -> datetime:
    """Tell the database's time, by which leases are measured."""
    moment: datetime = connection.execute(select(now())).scalar_one()
    return moment


def count_jobs(connection: Connection) -> dict[JobState, int]:
    """Count the jobs in each state, up to `MAX_COUNTED` + 1."""
    return {state: _count(connection, jobs.c.state == state) for state in JobState}


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    some = select(literal(1).label("one")).where(*conditions).limit(MAX_COUNTED + 1).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def oldest_jobs(connection: Connection, states: Iterable[JobState], limit: int) -> list[Job]:
    """List up to `limit` jobs in `states`, those first whose time is up first."""
    found = [
        job_of_row(row)
        for state in states
        for row in connection.execute(
            SELECT_JOBS.where(jobs.c.state == state).order_by(jobs.c.deadline_at).limit(limit)
        )
    ]
    return sorted(found, key=lambda job: job.created_at)[:limit]


def count_chunks(connection: Connection, job: JobId) -> dict[ChunkState, int]:
    """Count the chunks of `job` by state, in the order of `ChunkState`, without zeros."""
    rows = connection.execute(
        select(chunks.c.state, func.count()).where(chunks.c.job_id == job).group_by(chunks.c.state)
    )
    counts = {ChunkState(state): number for state, number in rows}
    return {state: counts[state] for state in ChunkState if state in counts}


def unfinished_chunks(connection: Connection, job: JobId, limit: int) -> list[ChunkStatus]:
    """List up to `limit` chunks of `job` that are not done, in their order."""
    rows = connection.execute(
        select(*_SHOWN)
        .where(chunks.c.job_id == job, chunks.c.state != ChunkState.DONE)
        .order_by(chunks.c.seq)
        .limit(limit)
    )
    return [_standing(row) for row in rows]


def stuck_chunks(connection: Connection, late: timedelta, limit: int) -> list[ChunkStatus]:
    """List up to `limit` chunks that do not get on, of each kind.

    They have been due for `late` and nobody published them; or their lease ran out and nobody took
    them back; or they have been tried before; or they were published often and nobody took them.
    """
    overdue = select(*_SHOWN).where(
        chunks.c.state == ChunkState.PENDING,
        chunks.c.queue.in_(list(Queue)),
        chunks.c.next_publish_at < now(-late.total_seconds()),
    )
    running = select(*_SHOWN).where(
        chunks.c.state == ChunkState.RUNNING,
        or_(chunks.c.lease_until < now(-_GRACE.total_seconds()), chunks.c.attempt > 1),
    )
    queries = [overdue.limit(limit), running.limit(limit), *_untaken(limit)]
    found = {
        (row.job_id, row.seq): _standing(row)
        for query in queries
        for row in connection.execute(query)
    }
    return sorted(found.values(), key=lambda chunk: chunk.ref)


def _untaken(limit: int) -> list[Select[Any]]:
    """Look for chunks that were published often among those that are published next."""
    queries = []
    for queue in Queue:
        next_ = (
            select(*_SHOWN)
            .where(
                chunks.c.state == ChunkState.PENDING,
                chunks.c.queue == queue,
                chunks.c.next_publish_at >= now(),
            )
            .order_by(chunks.c.next_publish_at)
            .limit(_LOOKED_AT)
            .subquery()
        )
        queries.append(select(next_).where(next_.c.publishes >= _OFTEN).limit(limit))
    return queries


def _standing(row: AnyRow) -> ChunkStatus:
    return ChunkStatus(
        ref=ChunkRef(job=JobId(row.job_id), seq=row.seq),
        state=ChunkState(row.state),
        queue=Queue(row.queue),
        rows=row.row_count,
        attempt=row.attempt,
        publishes=row.publishes,
        claimed_by=row.claimed_by,
        lease_until=row.lease_until,
        next_publish_at=row.next_publish_at,
        error=row.error_detail,
    )
