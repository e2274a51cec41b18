"""The short end of a chunk: closed under its fence, and its job with it when it has no other."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Update, and_, bindparam, func, select, update

from shared.db.chunk_keys import at_seq, group_by_seq, in_state
from shared.db.schema import chunks, jobs, results
from shared.db.types import now
from shared.domain.chunks import ChunkResult
from shared.domain.jobs import ChunkRef, ChunkState, JobId, JobState, final_state

# Built once: building a statement costs more than running it, and every batch runs these.
_FENCE: Final = chunks.c.fence == bindparam("under")
_CLOSE: Final = (
    update(chunks)
    .where(at_seq(), in_state(ChunkState.RUNNING), _FENCE)
    .values(state=bindparam("closed"), claimed_by=None, lease_until=None)
)
_CLOSED: Final = select(*chunks.c["job_id", "seq"]).where(
    at_seq(), func.coalesce(chunks.c.state, "") == bindparam("closed"), _FENCE
)
_WRITTEN: Final = select(*results.c["job_id", "seq"]).where(
    at_seq(results), results.c.fence == bindparam("under")
)
END: Final = (
    update(jobs)
    .where(
        jobs.c.id.in_(bindparam("ids", expanding=True)),
        jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING)),
        jobs.c.chunks_finished == 0,
    )
    .values(
        state=bindparam("ended"),
        rows_succeeded=bindparam("succeeded"),
        rows_failed=bindparam("failed"),
        chunks_finished=1,
        finished_at=now(),
        expires_at=now(jobs.c.retention_seconds),
    )
)


def only_chunk() -> ColumnElement[bool]:
    """Tell of a job whose end hangs on its one chunk, and on nothing that must be read first."""
    return and_(
        jobs.c.chunks_total == 1,
        func.coalesce(jobs.c.state, "") != JobState.RECEIVING,
        jobs.c.max_errors.is_(None),
        jobs.c.webhook_url.is_(None),
    )


def close_claimed(
    connection: Connection, outcomes: Sequence[ChunkResult]
) -> tuple[set[ChunkRef], set[ChunkRef]]:
    """Close the chunks of `outcomes` whose claims still hold.

    Gives those that are closed now, and those that an earlier run of the same transaction closed,
    whose commit was not answered. All others are lost.
    """
    now_closed: set[ChunkRef] = set()
    before: set[ChunkRef] = set()
    for group, size in _group_alike(outcomes):
        if connection.execute(_CLOSE, group).rowcount == size:
            now_closed |= _refs(group)
            continue
        written = _found(connection, _WRITTEN, group)
        closed = _found(connection, _CLOSED, group)
        now_closed |= closed - written
        before |= closed & written
    return now_closed, before


def _group_alike(outcomes: Sequence[ChunkResult]) -> list[tuple[dict[str, Any], int]]:
    kinds = defaultdict(list)
    for one in outcomes:
        state = ChunkState.FAILED if one.failure else ChunkState.DONE
        kinds[one.fence, state].append(one.ref)
    return [
        (group | {"under": fence, "closed": state}, len(group["ids"]))
        for (fence, state), refs in sorted(kinds.items())
        for group in group_by_seq(refs)
    ]


def _refs(group: dict[str, Any]) -> set[ChunkRef]:
    return {ChunkRef(job=job, seq=group["number"]) for job in group["ids"]}


def _found(connection: Connection, query: Any, group: dict[str, Any]) -> set[ChunkRef]:  # noqa: ANN401 - a SELECT
    rows = connection.execute(query, group)
    return {ChunkRef(job=JobId(row.job_id), seq=row.seq) for row in rows}


def end_jobs(
    connection: Connection,
    outcomes: Sequence[ChunkResult],
    end: Update = END,
    **parameters: object,
) -> dict[JobId, JobState]:
    """End the jobs of `outcomes`, each of which is its job's only chunk and was closed just now.

    Whoever stops a job closes its chunks too, so a chunk that was held has a job to end. `end` may
    be a statement that says more than `END`, with `parameters` of its own.
    """
    alike = defaultdict(list)
    for one in outcomes:
        alike[one.row_count, one.failed_rows].append(one.ref.job)
    ended: dict[JobId, JobState] = {}
    for (rows, failed), ids in alike.items():
        state = final_state(rows - failed, failed)
        values = {"ended": state, "succeeded": rows - failed, "failed": failed}
        connection.execute(end, parameters | values | {"ids": sorted(ids)})
        ended |= dict.fromkeys(ids, state)
    return ended
