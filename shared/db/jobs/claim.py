"""Claims: taking chunks under a lease, holding them, and giving them back."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    bindparam,
    case,
    func,
    select,
    update,
)

from shared.db.chunk_keys import at_seq, group_by_seq, in_state, key_in
from shared.db.jobs.close_chunks import only_chunk
from shared.db.mysql_pipeline import pipelined
from shared.db.schema import chunks, inputs, jobs
from shared.db.types import AnyRow, now
from shared.domain.chunks import ClaimedChunk, Encoding
from shared.domain.csv_layout import CsvLayout
from shared.domain.jobs import (
    ChunkRef,
    ChunkState,
    JobId,
    JobState,
    ModelPin,
    chunk_states_before,
)
from shared.domain.row_errors import read_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """Who claims: `token` is new for every batch, `lease` is how long the claim holds."""

    token: str
    lease: timedelta


# Built once: building a statement costs more than running it, and every batch runs these.
_CLAIM: Final = (
    update(chunks)
    .where(at_seq(), in_state(*chunk_states_before(ChunkState.RUNNING)))
    .values(
        state=ChunkState.RUNNING,
        fence=chunks.c.fence + 1,
        attempt=chunks.c.attempt + 1,
        claimed_by=bindparam("token"),
        lease_until=now(bindparam("lease", type_=Float())),
        next_publish_at=None,
    )
)


def select_claimable(
    fence: ColumnElement[int], attempt: ColumnElement[int]
) -> Select[*tuple[Any, ...]]:
    """Select chunks with all that it takes to run them, for `claimed_chunk`."""
    return (
        select(
            *chunks.c["job_id", "seq", "first_row", "first_line", "row_count"],
            fence.label("fence"),
            attempt.label("attempt"),
            *inputs.c["encoding", "body", "errors"],
            *jobs.c["model_name", "model_version", "model_sha256", "outputs", "layout"],
            only_chunk().label("sole"),
        )
        .join(inputs, (inputs.c.job_id == chunks.c.job_id) & (inputs.c.seq == chunks.c.seq))
        .join(jobs, jobs.c.id == chunks.c.job_id)
    )


_READ_CLAIMED: Final = select_claimable(chunks.c.fence, chunks.c.attempt).where(
    at_seq(), chunks.c.claimed_by == bindparam("token"), in_state(ChunkState.RUNNING)
)
_QUEUED: Final = jobs.c.state == JobState.QUEUED
_START: Final = (
    update(jobs)
    .where(
        jobs.c.id.in_(bindparam("ids", expanding=True)),
        _QUEUED | (jobs.c.attempts < bindparam("attempt")),
    )
    .values(
        state=case((_QUEUED, JobState.RUNNING), else_=jobs.c.state),
        started_at=func.coalesce(jobs.c.started_at, now()),
        attempts=bindparam("attempt"),
    )
)


def claim(
    connection: Connection, refs: Sequence[ChunkRef], claimant: Claimant
) -> list[ClaimedChunk]:
    """Claim those of `refs` that are pending, and give them with their rows.

    A guarded UPDATE raises fence and attempt, so of two workers with the same message one gets
    the chunk. Safe to run again after a lost connection: the token finds what the first run took.
    """
    groups = [group | {"token": claimant.token} for group in group_by_seq(refs)]
    lease = claimant.lease.total_seconds()
    with pipelined(connection):
        for group in groups:
            connection.execute(_CLAIM, group | {"lease": lease})
    claimed = [
        claimed_chunk(row) for group in groups for row in connection.execute(_READ_CLAIMED, group)
    ]
    with pipelined(connection):
        _start_jobs(connection, claimed)
    return claimed


def claimed_chunk(row: AnyRow) -> ClaimedChunk:
    """Read a row of `select_claimable`."""
    return ClaimedChunk(
        ref=ChunkRef(job=JobId(row.job_id), seq=row.seq),
        fence=row.fence,
        attempt=row.attempt,
        first_row=row.first_row,
        first_line=row.first_line,
        row_count=row.row_count,
        encoding=Encoding(row.encoding),
        layout=CsvLayout.from_document(row.layout) if row.layout else None,
        body=row.body,
        errors=read_errors(row.errors),
        model=ModelPin(row.model_name, row.model_version, row.model_sha256),
        outputs=tuple(row.outputs),
        is_only_chunk=bool(row.sole),
    )


def _start_jobs(connection: Connection, claimed: Sequence[ClaimedChunk]) -> None:
    by_attempt = defaultdict(set)
    for chunk in claimed:
        by_attempt[chunk.attempt].add(chunk.ref.job)
    # A job is written once for its first claim and once for each further round, not per chunk.
    for attempt, ids in sorted(by_attempt.items()):
        connection.execute(_START, {"ids": sorted(ids), "attempt": attempt})


def extend(connection: Connection, claimed: Sequence[ClaimedChunk], claimant: Claimant) -> int:
    """Renew the lease of `claimed` and give how many of the claims still held."""
    return connection.execute(
        update(chunks)
        .where(
            key_in(chunk.ref for chunk in claimed),
            chunks.c.claimed_by == claimant.token,
            in_state(ChunkState.RUNNING),
        )
        .values(lease_until=now(claimant.lease.total_seconds()))
    ).rowcount


def give_back(
    connection: Connection,
    claimed: ClaimedChunk,
    *,
    reason: str,
    after: timedelta,
    counted: bool = True,
) -> bool:
    """Return a claim whose attempt came to nothing, to be published again `after` a while.

    Gives False when the claim was lost before. Unless it is `counted`, the attempt is none.
    """
    returned = connection.execute(
        update(chunks)
        .where(
            chunks.c.job_id == claimed.ref.job,
            chunks.c.seq == claimed.ref.seq,
            chunks.c.fence == claimed.fence,
            chunks.c.state == ChunkState.RUNNING,
        )
        .values(
            state=ChunkState.PENDING,
            attempt=claimed.attempt if counted else claimed.attempt - 1,
            claimed_by=None,
            lease_until=None,
            next_publish_at=now(after.total_seconds()),
            error_detail=reason[:500],
        )
    )
    return returned.rowcount == 1
