"""Deletes jobs: at once for clients, and their data afterwards in small steps.

A large job has gigabytes, more than one transaction can delete in a short time. So a job is first
marked as deleted or its row is deleted, with an entry in `purges`; the sweep then deletes its data.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from shared.db.chunk_keys import key_in
from shared.db.queries.inspection import MAX_COUNTED
from shared.db.schema import (
    chunks,
    deliveries,
    idempotency_keys,
    inputs,
    job_labels,
    jobs,
    purges,
    results,
)
from shared.db.types import now
from shared.domain.jobs import TERMINAL, ChunkRef, JobId, JobState

_MAX_JOBS: Final = 200
"""The most jobs that one step of a purge serves."""
_CHUNKS_PER_TURN: Final = 8
"""The most chunks of one job that a step deletes: a huge job leaves room for the others."""
_RESULT_BYTES_PER_ROW: Final = 256
"""An estimate of a row's label, probabilities and errors; measuring them would read them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeLimits:
    """What one transaction deletes at most; one chunk at least, however large it is."""

    chunks: int = 1000
    bytes: int = 16 << 20


def soft_delete(connection: Connection, job: JobId) -> bool:
    """Mark `job`, which must have finished, as deleted, and schedule the purge of its data.

    Return False when the job has not finished. Safe to repeat after a lost connection.
    """
    marked = connection.execute(
        update(jobs)
        .where(jobs.c.id == job, jobs.c.state.in_(TERMINAL))
        .values(deleted_at=func.coalesce(jobs.c.deleted_at, now()))
        .values(labels={}, warnings=[], layout=None, summary=None)
        .values(webhook_url=None, webhook_host=None)
    )
    if not marked.rowcount:
        return False
    for table in (job_labels, deliveries):
        connection.execute(delete(table).where(table.c.job_id == job))
    schedule_purge(connection, [job])
    return True


def schedule_purge(connection: Connection, ids: Sequence[JobId]) -> None:
    """Schedule the purge of the chunks, inputs and results of `ids`, once for each."""
    known = select(purges.c.job_id).where(purges.c.job_id.in_(ids))
    new = sorted(set(ids) - set(connection.scalars(known)))
    if new:
        rows = [{"job_id": job} for job in new]
        connection.execute(insert(purges).values(next_seq=0, next_at=now()), rows)


def count_old(connection: Connection, before: JobId, states: Iterable[JobState]) -> int:
    """Count the jobs in `states` whose ids are smaller than `before`, up to `MAX_COUNTED` + 1."""
    some = (
        select(literal(1).label("one"))
        .where(*_old(before, states))
        .limit(MAX_COUNTED + 1)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def delete_old(
    connection: Connection, before: JobId, states: Iterable[JobState], limit: int
) -> int:
    """Delete up to `limit` of the oldest of these jobs and count them; repeat until it returns 0.

    The sweep purges their data.
    """
    old = select(jobs.c.id).where(*_old(before, states)).order_by(jobs.c.id)
    return _delete_jobs(connection, old.limit(limit))


def delete_expired(connection: Connection, limit: int) -> int:
    """Delete up to `limit` jobs whose retention is over, and count them; data is purged later."""
    expired = select(jobs.c.id).where(jobs.c.expires_at < now()).order_by(jobs.c.expires_at)
    return _delete_jobs(connection, expired.limit(limit))


def _old(before: JobId, states: Iterable[JobState]) -> list[ColumnElement[bool]]:
    # Ids sort by time, so old jobs lie together at the front of the table. The state is written so
    # that no database finds them by it instead, among all that have finished.
    return [jobs.c.id < before, func.coalesce(jobs.c.state, "").in_(sorted(states))]


def _delete_jobs(connection: Connection, which: Select[str]) -> int:
    """Delete the rows of the jobs `which`, so that they are unknown, and schedule their purge."""
    locked = which.with_for_update(skip_locked=True)
    ids = [JobId(job) for job in connection.scalars(locked)]
    if ids:
        schedule_purge(connection, ids)
        for table in (job_labels, deliveries, idempotency_keys):
            connection.execute(delete(table).where(table.c.job_id.in_(ids)))
        connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))
    return len(ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What one step deleted, and how many jobs have no data left."""

    chunks: int
    jobs: int


def purge_chunks(connection: Connection, limits: PurgeLimits) -> Purged:
    """Delete some chunks of deleted jobs with their inputs and results.

    Jobs take turns: a job that was served goes to the end of the line, so that a huge one does
    not hold up the others. Repeat until `chunks` and `jobs` are 0.
    """
    rows = connection.execute(
        select(*purges.c["job_id", "next_seq"])
        .where(purges.c.next_at <= now())
        .order_by(purges.c.next_at)
        .limit(_MAX_JOBS)
        .with_for_update(skip_locked=True)
    )
    turns = {JobId(row.job_id): int(row.next_seq) for row in rows}
    if not turns:
        return Purged(chunks=0, jobs=0)
    refs = _fitting(connection, _next_chunks(connection, turns, limits), limits)
    if refs:
        for table in (results, inputs, chunks):
            connection.execute(delete(table).where(key_in(refs, table)))
    return Purged(chunks=len(refs), jobs=_end_turns(connection, turns, refs))


def _next_chunks(
    connection: Connection, turns: Mapping[JobId, int], limits: PurgeLimits
) -> list[tuple[ChunkRef, int]]:
    """Return the next few chunks of each job in `turns`, in their order, with their rows."""
    by_seq = defaultdict(list)
    for job, seq in turns.items():
        by_seq[seq].append(job)
    ranges = [
        and_(chunks.c.job_id.in_(ids), chunks.c.seq >= seq, chunks.c.seq < seq + _CHUNKS_PER_TURN)
        for seq, ids in by_seq.items()
    ]
    found = connection.execute(select(*chunks.c["job_id", "seq", "row_count"]).where(or_(*ranges)))
    order = {job: place for place, job in enumerate(turns)}
    rows = sorted(found, key=lambda row: (order[row.job_id], row.seq))[: limits.chunks]
    return [(ChunkRef(job=row.job_id, seq=row.seq), row.row_count) for row in rows]


def _fitting(
    connection: Connection, candidates: Sequence[tuple[ChunkRef, int]], limits: PurgeLimits
) -> list[ChunkRef]:
    """Return the first of `candidates` whose data is no larger than the limit, one at least."""
    chosen: list[ChunkRef] = []
    total, start, size = 0, 0, 4
    while start < len(candidates):
        # The length of a body costs reading it, so few are measured at first.
        group = candidates[start : start + size]
        lengths = _body_lengths(connection, [ref for ref, _ in group])
        for ref, rows in group:
            total += lengths.get(ref, 0) + rows * _RESULT_BYTES_PER_ROW
            if chosen and total > limits.bytes:
                return chosen
            chosen.append(ref)
        start, size = start + size, size * 2
    return chosen


def _body_lengths(connection: Connection, refs: Sequence[ChunkRef]) -> dict[ChunkRef, int]:
    lengths = select(inputs.c.job_id, inputs.c.seq, func.length(inputs.c.body).label("bytes"))
    rows = connection.execute(lengths.where(key_in(refs, inputs)))
    return {ChunkRef(job=JobId(row.job_id), seq=row.seq): row.bytes for row in rows}


def _end_turns(connection: Connection, turns: Mapping[JobId, int], refs: Sequence[ChunkRef]) -> int:
    """Remove jobs without data and count them; move those that were served to the end."""
    left = exists().where(chunks.c.job_id == purges.c.job_id)
    done = connection.execute(delete(purges).where(purges.c.job_id.in_(turns), ~left))
    served = {ref.job: ref.seq + 1 for ref in refs}
    if served:
        move = update(purges).where(purges.c.job_id == bindparam("job"))
        connection.execute(
            move.values(next_seq=bindparam("seq"), next_at=now()),
            [{"job": job, "seq": seq} for job, seq in served.items()],
        )
    return done.rowcount
