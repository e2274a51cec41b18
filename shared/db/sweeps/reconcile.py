"""Counts jobs again whose counters disagree with their chunks: what no transaction should leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from shared.db.jobs.complete import advance_jobs, record_failure
from shared.db.schema import chunks, jobs, results
from shared.db.types import AnyRow, now
from shared.domain.chunks import Dispatch, DispatchPolicy
from shared.domain.jobs import ChunkState, JobFailure, JobId, JobState
from shared.domain.row_errors import count_errors

# Younger jobs are most likely still moving.
_AGE_SECONDS: Final = 60.0
_OPEN: Final = (JobState.RUNNING, JobState.QUEUED)
_FINISHED: Final = (ChunkState.DONE, ChunkState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPosition:
    """How far a round through the unfinished jobs has come, in the order of their index."""

    state: JobState
    deadline_at: datetime | None = None
    job: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What a look came to: where to look next, and the jobs whose counters were mended."""

    last: ScanPosition | None
    repaired: tuple[JobId, ...]
    released: tuple[Dispatch, ...]


def reconcile_jobs(
    connection: Connection, after: ScanPosition | None, outbox: DispatchPolicy, limit: int
) -> Reconciliation:
    """Look at up to `limit` old unfinished jobs after `after`, and mend those that are wrong."""
    place = after or ScanPosition(state=_OPEN[0])
    rows = _some(connection, place, limit)
    mended: list[JobId] = []
    released: list[Dispatch] = []
    for job in _candidates(connection, rows):
        if _repair(connection, job):
            mended.append(job)
            for move in advance_jobs(connection, {job: []}, outbox):
                released += move.freed
    last = _next(place, rows, limit)
    return Reconciliation(last=last, repaired=tuple(mended), released=tuple(released))


def _some(connection: Connection, place: ScanPosition, limit: int) -> Sequence[AnyRow]:
    beyond: ColumnElement[bool] = jobs.c.deadline_at.is_not(None)
    if place.deadline_at is not None:
        later = jobs.c.deadline_at > place.deadline_at
        same = and_(jobs.c.deadline_at == place.deadline_at, jobs.c.id > place.job)
        beyond = and_(jobs.c.deadline_at >= place.deadline_at, or_(later, same))
    return connection.execute(
        select(*jobs.c["id", "deadline_at", "chunks_total", "chunks_finished"])
        .where(jobs.c.state == place.state, beyond, jobs.c.created_at < now(-_AGE_SECONDS))
        .order_by(jobs.c.deadline_at, jobs.c.id)
        .limit(limit)
    ).all()


def _next(place: ScanPosition, rows: Sequence[AnyRow], limit: int) -> ScanPosition | None:
    if len(rows) == limit:
        return ScanPosition(state=place.state, deadline_at=rows[-1].deadline_at, job=rows[-1].id)
    turn = _OPEN.index(place.state) + 1
    return ScanPosition(state=_OPEN[turn]) if turn < len(_OPEN) else None


def _candidates(connection: Connection, rows: Sequence[AnyRow]) -> list[JobId]:
    """Return the jobs of `rows` that have finished chunks they do not know of, or all of them."""
    if not rows:
        return []
    finished = connection.execute(
        select(chunks.c.job_id, func.count().label("chunks"))
        .where(chunks.c.job_id.in_([row.id for row in rows]), chunks.c.state.in_(_FINISHED))
        .group_by(chunks.c.job_id)
    )
    counted = {row.job_id: row.chunks for row in finished}
    return [
        JobId(row.id)
        for row in rows
        if counted.get(row.id, 0) != row.chunks_finished or row.chunks_finished >= row.chunks_total
    ]


def _repair(connection: Connection, job: JobId) -> bool:
    """Set the counters of `job` to the sums over its results; False when they agree after all.

    The job's row is locked first: whoever finishes chunks of it has committed, or is seen later.
    """
    row = connection.execute(
        select(*jobs.c["state", "rows_succeeded", "rows_failed", "chunks_total", "chunks_finished"])
        .where(jobs.c.id == job, jobs.c.state.in_(_OPEN))
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    written = connection.execute(
        select(
            *results.c["row_count", "errors", "error_code", "error_detail"],
            results.c.labels.is_(None).label("given_up"),
        ).where(results.c.job_id == job)
    ).all()
    failed = sum(r.row_count if r.given_up else count_errors(r.errors) for r in written)
    succeeded = sum(r.row_count for r in written) - failed
    stuck = len(written) >= row.chunks_total
    before = (row.rows_succeeded, row.rows_failed, row.chunks_finished)
    if before == (succeeded, failed, len(written)) and not stuck:
        return False
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job)
        .values(rows_succeeded=succeeded, rows_failed=failed, chunks_finished=len(written))
    )
    for part in written:
        if part.error_code:
            failure = JobFailure(code=part.error_code, detail=part.error_detail or "")
            record_failure(connection, job, failure)
    return True
