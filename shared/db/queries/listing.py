"""Lists jobs, and tells what waits: the queries of people who look on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from shared.db.queries.jobs import SELECT_JOBS, job_of_row
from shared.db.schema import chunks, job_labels, jobs
from shared.domain.jobs import TERMINAL, ChunkState, Job, JobId, JobState, Queue

# The first 40 bits of a UUIDv7 tell its time to a quarter of a second.
AGE_PREFIX: Final = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list; None and empty mean any. Ids sort by time, so they bound it."""

    owner: str
    state: JobState | None = None
    model: str | None = None
    version: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    before: JobId | None = None
    after: JobId | None = None


def list_jobs(connection: Connection, wanted: JobFilter, limit: int) -> list[Job]:
    """List up to `limit` jobs that fit `wanted`, newest first."""
    query = SELECT_JOBS.where(jobs.c.owner == wanted.owner, jobs.c.deleted_at.is_(None))
    if wanted.state is not None:
        query = query.where(jobs.c.state == wanted.state)
    if wanted.model is not None:
        query = query.where(jobs.c.model_name == wanted.model)
    if wanted.version is not None:
        query = query.where(jobs.c.model_version == wanted.version)
    if wanted.before is not None:
        query = query.where(jobs.c.id < wanted.before)
    if wanted.after is not None:
        query = query.where(jobs.c.id >= wanted.after)
    for name, value in wanted.labels.items():
        named = select(job_labels.c.job_id).where(
            job_labels.c.owner == wanted.owner,
            job_labels.c.name == name,
            job_labels.c.value == value,
        )
        query = query.where(jobs.c.id.in_(named))
    rows = connection.execute(query.order_by(jobs.c.id.desc()).limit(limit))
    return [job_of_row(row) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What of a job changes while it runs: another version means that something has changed."""

    finished: bool
    counters: tuple[str, int, int, int]


# Built once: building a statement costs as much as running it.
_VERSIONS: Final = select(
    *jobs.c["id", "state", "rows_total", "rows_succeeded", "rows_failed"]
).where(jobs.c.id.in_(bindparam("ids", expanding=True)))


def versions(connection: Connection, ids: Iterable[JobId]) -> dict[JobId, Version]:
    """Read the versions of `ids`; a job that is gone is missing."""
    rows = connection.execute(_VERSIONS, {"ids": sorted(ids)})
    return {
        JobId(row[0]): Version(finished=row[1] in TERMINAL, counters=tuple(row[1:])) for row in rows
    }


def running_rows(connection: Connection) -> dict[Queue, int]:
    """Count the rows of chunks that are being run in each queue: never many."""
    rows = connection.execute(
        select(chunks.c.queue, func.sum(chunks.c.row_count))
        .where(chunks.c.state == ChunkState.RUNNING)
        .group_by(chunks.c.queue)
    )
    return dict.fromkeys(Queue, 0) | {Queue(queue): int(count) for queue, count in rows}


def backlog(connection: Connection) -> dict[Queue, dict[str, int]]:
    """Count the rows of unfinished chunks in each queue by the age of their jobs.

    The keys are the first characters of the jobs' ids: the older, the smaller.
    """
    age = func.substr(chunks.c.job_id, 1, AGE_PREFIX)
    rows = connection.execute(
        select(chunks.c.queue, age, func.sum(chunks.c.row_count))
        .where(chunks.c.state.in_((ChunkState.PENDING, ChunkState.RUNNING)))
        .group_by(chunks.c.queue, age)
    )
    counted: dict[Queue, dict[str, int]] = {queue: {} for queue in Queue}
    for queue, prefix, count in rows:
        counted[Queue(queue)][prefix] = int(count)
    return counted
