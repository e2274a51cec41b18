"""Finds work that nobody is doing: the SQL of the sweep, safe for any number of sweepers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, case, select, update

from shared.chunk_lines import lines_of_rows
from shared.db.chunk_keys import key_in
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.complete import Completion, complete
from shared.db.jobs.upload import UPLOAD_INCOMPLETE, end_upload
from shared.db.schema import chunks, inputs, jobs
from shared.db.types import AnyRow, now
from shared.domain.chunks import ChunkResult, Dispatch, DispatchPolicy, Encoding
from shared.domain.jobs import (
    UNFINISHED,
    ChunkRef,
    ChunkState,
    JobFailure,
    JobId,
    JobState,
    Queue,
    RetryPolicy,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    """What became of claims that ran out: `returned` to be tried again, or `finished` as failed."""

    returned: tuple[ChunkRef, ...]
    finished: Completion | None


def dispatch_due(
    connection: Connection,
    queue: Queue,
    limit: int,
    interval: timedelta,
    fitting: Callable[[list[Dispatch]], list[Dispatch]] = lambda due: due,
) -> list[Dispatch]:
    """Take up to `limit` pending chunks of `queue` whose time to be published has come.

    Of these only what `fitting` lets through: the others stay due. Their next time is set before
    they are published, twice as far away each time up to 8 times `interval`, so that a sweeper
    that dies loses nothing and a backlog is not repeated.
    """
    rows = connection.execute(
        select(*chunks.c["job_id", "seq", "attempt", "row_count"])
        .where(
            chunks.c.state == ChunkState.PENDING,
            chunks.c.queue == queue,
            chunks.c.next_publish_at <= now(),
        )
        .order_by(chunks.c.next_publish_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    due = fitting(
        [
            Dispatch(
                ref=_ref(row), queue=queue, row_count=row.row_count, own_message=row.attempt > 0
            )
            for row in rows
        ]
    )
    _note_publishing(connection, due, interval)
    return due


def _note_publishing(connection: Connection, due: Sequence[Dispatch], interval: timedelta) -> None:
    if not due:
        return
    doubled = case(
        *((chunks.c.publishes == n, 2**n * interval.total_seconds()) for n in range(3)),
        else_=8 * interval.total_seconds(),
    )
    connection.execute(
        update(chunks)
        .where(key_in(dispatch.ref for dispatch in due))
        .values(next_publish_at=now(doubled), publishes=chunks.c.publishes + 1)
    )


def take_of_job(
    connection: Connection, job: JobId, limit: int, interval: timedelta
) -> list[Dispatch]:
    """Dispatch up to `limit` pending chunks of `job`, due or not."""
    rows = connection.execute(
        select(*chunks.c["job_id", "seq", "queue", "row_count"])
        .where(
            chunks.c.job_id == job,
            chunks.c.state == ChunkState.PENDING,
            chunks.c.next_publish_at.is_not(None),
        )
        .order_by(chunks.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    taken = [
        Dispatch(ref=_ref(row), queue=Queue(row.queue), row_count=row.row_count, own_message=True)
        for row in rows
    ]
    _note_publishing(connection, taken, interval)
    return taken


def _ref(row: AnyRow) -> ChunkRef:
    return ChunkRef(job=JobId(row.job_id), seq=row.seq)


def reschedule_all(connection: Connection, limit: int = 2000) -> int:
    """Make up to `limit` published pending chunks due at once, and count them.

    To be repeated until it gives 0, after Redis lost its messages.
    """
    rows = connection.execute(
        select(*chunks.c["job_id", "seq"])
        .where(chunks.c.state == ChunkState.PENDING, chunks.c.next_publish_at > now())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    refs = [_ref(row) for row in rows]
    if refs:
        connection.execute(
            update(chunks).where(key_in(refs)).values(next_publish_at=now(), publishes=0)
        )
    return len(refs)


def rescue_expired_leases(
    connection: Connection,
    policy: RetryPolicy,
    outbox: DispatchPolicy,
    limit: int,
    *,
    counted: bool = True,
) -> Rescue:
    """Return up to `limit` chunks whose lease ran out, and fail those out of attempts.

    Unless they are `counted`, these attempts are none, and no chunk is out of them.
    """
    rows = connection.execute(
        select(
            *chunks.c["job_id", "seq", "fence", "attempt", "first_row", "first_line", "row_count"],
            *jobs.c["model_name", "model_version"],
        )
        .join(jobs, jobs.c.id == chunks.c.job_id)
        .where(chunks.c.state == ChunkState.RUNNING, chunks.c.lease_until < now())
        .limit(limit)
        .with_for_update(skip_locked=True, of=chunks)
    ).all()
    poison = [row for row in rows if counted and policy.exhausted(row.attempt)]
    returned = [_ref(row) for row in rows if row not in poison]
    if returned:
        connection.execute(
            update(chunks)
            .where(key_in(returned))
            .values(
                state=ChunkState.PENDING,
                attempt=chunks.c.attempt if counted else chunks.c.attempt - 1,
                claimed_by=None,
                lease_until=None,
                next_publish_at=now(),
                publishes=0,
                error_detail="its worker stopped answering",
            )
        )
    finished = None
    if poison:
        finished = complete(connection, [_given_up(connection, row) for row in poison], outbox)
    return Rescue(returned=tuple(returned), finished=finished)


def _given_up(connection: Connection, row: AnyRow) -> ChunkResult:
    of_it = (inputs.c.job_id == row.job_id) & (inputs.c.seq == row.seq)
    given = connection.execute(select(*inputs.c["encoding", "body"]).where(of_it)).one()
    detail = f"{row.attempt} workers stopped answering while they ran this part of the job."
    return ChunkResult(
        ref=_ref(row),
        fence=row.fence,
        first_row=row.first_row,
        first_line=row.first_line,
        row_count=row.row_count,
        model_version=f"{row.model_name}@{row.model_version}",
        lines=lines_of_rows(Encoding(given.encoding), given.body, row.first_line),
        failure=JobFailure(code="worker_died", detail=detail),
    )


def expire_jobs(connection: Connection, limit: int) -> list[JobId]:
    """Close up to `limit` jobs that are past their deadline, and cancel their open chunks.

    An upload moves its deadline on as it arrives, so one that is past it has been broken off.
    """
    late = connection.execute(
        select(*jobs.c["id", "state"])
        .where(jobs.c.state.in_(UNFINISHED), jobs.c.deadline_at < now())
        .limit(limit)
    ).all()
    return [JobId(row.id) for row in late if _expire(connection, JobId(row.id), row.state)]


def _expire(connection: Connection, job: JobId, state: str) -> bool:
    if state == JobState.RECEIVING:
        return end_upload(connection, job, JobState.FAILED, UPLOAD_INCOMPLETE)
    return stop_job(connection, job, JobState.EXPIRED)
