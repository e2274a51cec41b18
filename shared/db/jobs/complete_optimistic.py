"""First attempts at small jobs: read, predicted, and finished if nobody came between; not claimed.

Optimistic concurrency control. A claim is a transaction of its own, which takes longer than
predicting some rows. So who takes the first message of small jobs only reads their chunks, and
the one transaction that finishes them asks whether each is still as it was read. Nothing counts an
attempt that comes to nothing: after a while the sweep publishes the chunk again, to be claimed.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Float, bindparam, update

from shared.db.chunk_keys import at_seq, group_by_seq, in_state
from shared.db.jobs.claim import claimed_chunk, select_claimable
from shared.db.jobs.close_chunks import END, end_jobs, only_chunk
from shared.db.jobs.complete import Completion, insert_results
from shared.db.mysql_pipeline import execute_expecting, pipelined
from shared.db.schema import chunks
from shared.db.types import now
from shared.domain.chunks import ChunkResult, ClaimedChunk
from shared.domain.jobs import ChunkRef, ChunkState

# Rows of a batch without a claim: so few that they are done long before the sweep comes for them.
_MAX_ROWS: Final = 1000

# Built once: building a statement costs more than running it, and every batch runs these.
_FENCE: Final = chunks.c.fence + 1
_ATTEMPT: Final = chunks.c.attempt + 1
_READ: Final = select_claimable(_FENCE, _ATTEMPT).where(
    at_seq(),
    in_state(ChunkState.PENDING),
    chunks.c.fence == 0,
    # What was published again may have killed the worker that read it first.
    chunks.c.publishes == 1,
    chunks.c.row_count <= bindparam("most"),
    only_chunk(),
)
_CLOSE: Final = (
    update(chunks)
    .where(at_seq(), in_state(ChunkState.PENDING), chunks.c.fence == 0)
    .values(state=ChunkState.DONE, fence=_FENCE, attempt=_ATTEMPT, next_publish_at=None)
)
_END: Final = END.values(attempts=1, started_at=now(-bindparam("seconds", type_=Float())))


def read_unclaimed(connection: Connection, refs: Sequence[ChunkRef]) -> list[ClaimedChunk]:
    """Read those of `refs` that nobody has tried, and that may be finished without a claim.

    Each stands for all of a small job whose end hangs on nothing else. It is given under the fence
    that it would be claimed under.
    """
    most = _MAX_ROWS // max(len(refs), 1)
    groups = [group | {"most": most} for group in group_by_seq(refs)]
    return [claimed_chunk(row) for group in groups for row in connection.execute(_READ, group)]


def complete_optimistic(
    connection: Connection, outcomes: Sequence[ChunkResult], seconds: float
) -> Completion:
    """Write `outcomes` of chunks that were read `seconds` ago, and end their jobs: in one packet.

    Raises `StaleRows`, and changes nothing, when one of them was claimed, closed or deleted
    meanwhile; and when it is run again after a lost connection and had been committed.
    """
    with pipelined(connection):
        for group in group_by_seq(outcome.ref for outcome in outcomes):
            execute_expecting(connection, _CLOSE, group, rows=len(group["ids"]))
        insert_results(connection, outcomes)
        ended = end_jobs(connection, outcomes, _END, seconds=seconds)
    refs = tuple(outcome.ref for outcome in outcomes)
    return Completion(written=refs, lost=(), released=(), jobs=ended)
