"""Values for tests that name only what matters to the test."""

from array import array
from datetime import UTC, datetime, timedelta

import uuid_utils
from sqlalchemy import select

from shared.db.engine import Database
from shared.db.jobs.claim import Claimant, claim
from shared.db.jobs.submit import store_group
from shared.db.queries.jobs import read_job
from shared.db.queries.results import read_results
from shared.db.schema import chunks as chunk_table
from shared.db.sweeps.prune import PurgeLimits, purge_chunks
from shared.domain.chunks import (
    ChunkResult,
    ClaimedChunk,
    DispatchPolicy,
    Encoding,
    NewChunk,
    Submission,
)
from shared.domain.jobs import ChunkRef, Job, JobId, Queue

OUTBOX = DispatchPolicy(window=2, republish_after=timedelta(seconds=5))


def a_chunk(seq: int = 0, *, rows: int = 1, first_row: int | None = None) -> NewChunk:
    """Make a chunk of `rows` rows of two numbers."""
    return NewChunk(
        seq=seq,
        first_row=seq * rows if first_row is None else first_row,
        row_count=rows,
        encoding=Encoding.FLOAT64,
        body=array("d", [1.0, 2.0] * rows).tobytes(),
    )


def a_submission(
    *,
    rows: int = 1,
    chunks: int = 1,
    queue: Queue = Queue.INTERACTIVE,
    deadline: timedelta = timedelta(hours=1),
    retention: timedelta = timedelta(days=1),
) -> Submission:
    """Make a job of `chunks` chunks with `rows` rows each."""
    created = datetime.now(UTC)
    return Submission(
        id=JobId(str(uuid_utils.uuid7())),
        queue=queue,
        model_name="drybeans",
        model_version=2,
        model_sha256="0" * 64,
        outputs=("label",),
        labels={},
        warnings=(),
        retention=retention,
        created_at=created,
        deadline_at=created + deadline,
        chunks=tuple(a_chunk(seq, rows=rows) for seq in range(chunks)),
    )


def submit(database: Database, *submissions: Submission) -> list[ChunkRef]:
    """Store `submissions` and name the chunks that were released."""
    return [dispatch.ref for dispatch in store_group(database, submissions, OUTBOX)]


def take(
    database: Database, *refs: ChunkRef, token: str = "a", lease: float = 15.0
) -> list[ClaimedChunk]:
    """Claim `refs` for `lease` seconds."""
    claimant = Claimant(token=token, lease=timedelta(seconds=lease))
    return database.write(lambda c: claim(c, refs, claimant))


def answered(claimed: ClaimedChunk, label: str | None = "SIRA") -> ChunkResult:
    """Answer all rows of `claimed` alike."""
    return ChunkResult(
        ref=claimed.ref,
        fence=claimed.fence,
        first_row=claimed.first_row,
        first_line=claimed.first_line,
        row_count=claimed.row_count,
        model_version="drybeans@2",
        labels=[label] * claimed.row_count,
        summary={"counts": {label: claimed.row_count}, "out_of_range": {}},
        is_only_chunk=claimed.is_only_chunk,
    )


def purge_all(database: Database) -> None:
    """Delete the data of all deleted jobs, as the sweep does."""
    while True:
        purged = database.write(lambda c: purge_chunks(c, PurgeLimits()))
        if not (purged.chunks or purged.jobs):
            return


def job_of(database: Database, job: JobId) -> Job:
    """Read a job that must be there."""
    found = database.read(lambda c: read_job(c, job))
    assert found is not None
    return found


def chunk_states(database: Database, job: JobId) -> list[str]:
    """Return the states of a job's chunks in order."""
    columns = chunk_table.c
    query = select(columns.state).where(columns.job_id == job).order_by(columns.seq)
    return list(database.read(lambda c: c.scalars(query).all()))


def labels_of(database: Database, job: JobId) -> list[str | None]:
    """Return all labels of a job in order."""
    stored = database.read(lambda c: read_results(c, job, 0, 10**9))
    return [label for part in stored for label in part.labels or [None] * part.row_count]
