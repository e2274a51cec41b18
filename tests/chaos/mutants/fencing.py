"""Mutants without what keeps results exact: the fence, the sweep, the one transaction."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

import worker.batch.run
from shared.db.chunk_keys import key_in
from shared.db.jobs import complete as finishes
from shared.db.schema import chunks, results
from shared.domain.chunks import ChunkResult, DispatchPolicy
from shared.domain.jobs import ChunkRef, ChunkState, JobId, JobState
from tests.chaos.mutants.base import Mutant

_OUTBOX: Final = DispatchPolicy(window=4, republish_after=timedelta(seconds=5))


def _without_fence() -> None:
    """Let whoever comes last write, with or without a claim: neither fence nor state is asked."""

    def all_that_exist(
        connection: Connection, outcomes: Sequence[ChunkResult]
    ) -> tuple[set[ChunkRef], set[ChunkRef]]:
        refs = [outcome.ref for outcome in outcomes]
        exist = key_in(refs)
        connection.execute(update(chunks).where(exist).values(state=ChunkState.DONE))
        rows = connection.execute(select(*chunks.c["job_id", "seq"]).where(exist))
        return {ChunkRef(job=JobId(row.job_id), seq=row.seq) for row in rows}, set()

    insert = _private("insert_results")

    def overwrite(connection: Connection, outcomes: Sequence[ChunkResult]) -> None:
        for outcome in outcomes:
            connection.execute(
                delete(results).where(
                    results.c.job_id == outcome.ref.job, results.c.seq == outcome.ref.seq
                )
            )
        insert(connection, outcomes)

    def count_again(
        connection: Connection, outcomes: Sequence[ChunkResult]
    ) -> dict[JobId, JobState]:
        moves = finishes.advance_jobs(connection, _private("_by_job")(outcomes), _OUTBOX)
        return {move.id: move.after.state for move in moves}

    def finish_whatever_came_between(
        connection: Connection, outcomes: Sequence[ChunkResult], _seconds: float
    ) -> finishes.Completion:
        tried = update(chunks).where(key_in(outcome.ref for outcome in outcomes))
        connection.execute(tried.values(fence=chunks.c.fence + 1))
        return finishes.complete(connection, outcomes, _OUTBOX)

    _replace("close_claimed", all_that_exist)
    _replace("end_jobs", count_again)
    _replace("insert_results", overwrite)
    setattr(worker.batch.run, "complete_optimistic", finish_whatever_came_between)  # noqa: B010 - not exported


def _without_one_transaction() -> None:
    """Commit results and chunks first, and the jobs' counters and ends afterwards."""

    def late(count: Callable[..., Any]) -> Callable[..., Any]:
        def counted(connection: Connection, finished: Any, *others: Any) -> Any:
            if finished:
                connection.connection.commit()
                time.sleep(0.3)
            return count(connection, finished, *others)

        return counted

    # In claimed batches, of which finishing has steps.
    setattr(worker.batch.run, "read_unclaimed", lambda *_: [])  # noqa: B010 - not exported: only here
    for name in ("advance_jobs", "end_jobs"):
        _replace(name, late(_private(name)))


def _private(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(finishes, name)
    return function


def _replace(name: str, function: Callable[..., Any]) -> None:
    setattr(finishes, name, function)


MUTANTS: Final = {
    "no-fence": Mutant(
        told="a worker that finishes without asking the fence",
        faults=("worker frozen",),
        shows=frozenset({"wrong counter", "stale result"}),
        apply=_without_fence,
    ),
    "no-sweep": Mutant(
        told="no sweeper",
        faults=("worker killed", "Redis flushed"),
        shows=frozenset({"unfinished"}),
        sweepers=0,
    ),
    "two-transactions": Mutant(
        told="results and counters committed apart",
        faults=("worker killed", "pool process killed"),
        shows=frozenset({"uncounted", "wrong counter"}),
        apply=_without_one_transaction,
        seconds=0.02,
    ),
}
