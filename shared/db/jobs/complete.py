"""Finishing: results, chunks and counters move in one transaction, guarded by the fence."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from shared.db.chunk_keys import key_in
from shared.db.jobs.close_chunks import close_claimed, end_jobs
from shared.db.schema import chunks, jobs, results
from shared.db.types import AnyRow, now
from shared.db.webhooks import enqueue_delivery
from shared.domain.chunks import ChunkResult, Dispatch, DispatchPolicy
from shared.domain.jobs import (
    TERMINAL,
    TOO_MANY_ERRORS,
    ChunkRef,
    ChunkState,
    JobCounters,
    JobFailure,
    JobId,
    JobState,
    Queue,
    chunk_states_before,
)
from shared.domain.row_errors import write_errors
from shared.models.summaries import merge_summaries


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a finish came to.

    `written` chunks have their result; `lost` ones were taken over by another claim; `released`
    ones entered their job's window and are to be published; `jobs` are now finished.
    """

    written: tuple[ChunkRef, ...]
    lost: tuple[ChunkRef, ...]
    released: tuple[Dispatch, ...]
    jobs: Mapping[JobId, JobState]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """A job after some of its chunks were finished."""

    id: JobId
    queue: Queue
    after: JobCounters
    released: int
    release: int
    webhook: bool = False

    @property
    def finished(self) -> bool:
        """Return whether the job has come to its end."""
        return self.after.state in TERMINAL

    @property
    def freed(self) -> list[Dispatch]:
        """Return the chunks that enter the window; a job with a window travels chunk by chunk."""
        return [
            Dispatch(
                ref=ChunkRef(job=self.id, seq=seq), queue=self.queue, row_count=0, own_message=True
            )
            for seq in range(self.released, self.release)
        ]


def complete(
    connection: Connection, outcomes: Sequence[ChunkResult], outbox: DispatchPolicy
) -> Completion:
    """Write `outcomes`, each only if its claim still holds, and move their jobs on.

    Locks chunks before jobs, both in key order. Safe to run again after a lost connection: an
    outcome already written under its fence counts as written.
    """
    closed, before = close_claimed(connection, outcomes)
    mine = [outcome for outcome in outcomes if outcome.ref in closed]
    sole = [outcome for outcome in mine if outcome.is_only_chunk and not outcome.failure]
    others = [outcome for outcome in mine if not outcome.is_only_chunk or outcome.failure]
    if mine:
        insert_results(connection, mine)
    ended = end_jobs(connection, sole)
    moved = advance_jobs(connection, _by_job(others), outbox) if others else []
    return Completion(
        written=tuple(outcome.ref for outcome in mine) + tuple(sorted(before)),
        lost=tuple(o.ref for o in outcomes if o.ref not in closed and o.ref not in before),
        released=tuple(dispatch for progress in moved for dispatch in progress.freed),
        jobs=ended | {move.id: move.after.state for move in moved if move.finished},
    )


def insert_results(connection: Connection, outcomes: Sequence[ChunkResult]) -> None:
    """Write the results of `outcomes`, whose chunks are closed in the same transaction."""
    connection.execute(insert(results), [_result(outcome) for outcome in outcomes])


def _result(outcome: ChunkResult) -> dict[str, Any]:
    failure = outcome.failure
    return {
        "job_id": outcome.ref.job,
        "seq": outcome.ref.seq,
        "fence": outcome.fence,
        "first_row": outcome.first_row,
        "first_line": outcome.first_line,
        "row_count": outcome.row_count,
        "labels": outcome.labels,
        "ids": outcome.ids,
        "lines": outcome.lines,
        "probabilities": outcome.probabilities,
        "errors": write_errors(outcome.errors),
        "summary": outcome.summary,
        "error_code": failure.code if failure else None,
        "error_detail": failure.detail[:500] if failure else None,
        "model_version": outcome.model_version,
    }


def _by_job(outcomes: Sequence[ChunkResult]) -> dict[JobId, list[ChunkResult]]:
    by_job = defaultdict(list)
    for outcome in outcomes:
        by_job[outcome.ref.job].append(outcome)
    return by_job


def advance_jobs(
    connection: Connection, by_job: Mapping[JobId, Sequence[ChunkResult]], outbox: DispatchPolicy
) -> list[JobProgress]:
    """Add the outcomes `by_job` to their jobs' counters and move the jobs on.

    A job that has become complete in another way is given with no outcomes.
    """
    rows = connection.execute(
        select(
            *jobs.c["id", "state", "queue", "rows_total", "rows_succeeded", "rows_failed"],
            *jobs.c["chunks_total", "chunks_finished", "chunks_released", "max_errors"],
            jobs.c.webhook_url.is_not(None).label("webhook"),
        )
        .where(jobs.c.id.in_(sorted(by_job)))
        .order_by(jobs.c.id)
        .with_for_update()
    )
    moves = [_progress(row, by_job[row.id], outbox.window) for row in rows]
    _write_counters(connection, moves)
    _release(connection, moves, outbox.republish_after)
    enqueue_delivery(connection, [move.id for move in moves if move.finished and move.webhook])
    for move in moves:
        if move.after.too_many_errors:
            _cancel_remaining(connection, move)
        elif move.finished and move.after.chunks_total > 1:
            merge_job_summary(connection, move.id)
        failure = next((o.failure for o in by_job[move.id] if o.failure), None)
        if failure:
            record_failure(connection, move.id, failure)
    return moves


def _progress(row: AnyRow, outcomes: Sequence[ChunkResult], window: int) -> JobProgress:
    before = JobCounters(
        state=JobState(row.state),
        rows_total=row.rows_total,
        rows_succeeded=row.rows_succeeded,
        rows_failed=row.rows_failed,
        chunks_total=row.chunks_total,
        chunks_finished=row.chunks_finished,
        max_errors=row.max_errors,
    )
    failed = sum(outcome.failed_rows for outcome in outcomes)
    total = sum(outcome.row_count for outcome in outcomes)
    after = before.add(succeeded=total - failed, failed=failed, chunks=len(outcomes))
    release = min(row.chunks_total, after.chunks_finished + window)
    return JobProgress(
        id=row.id,
        queue=Queue(row.queue),
        after=after,
        released=row.chunks_released,
        release=row.chunks_released
        if after.state in TERMINAL
        else max(row.chunks_released, release),
        webhook=bool(row.webhook),
    )


def _cancel_remaining(connection: Connection, move: JobProgress) -> None:
    """Cancel what is left of a job in which too many rows failed."""
    connection.execute(
        update(chunks)
        .where(
            chunks.c.job_id == move.id,
            chunks.c.state.in_(chunk_states_before(ChunkState.CANCELED)),
        )
        .values(state=ChunkState.CANCELED, claimed_by=None, lease_until=None, next_publish_at=None)
    )
    merge_job_summary(connection, move.id)
    failed = move.after.rows_failed
    counted = "1 row" if failed == 1 else f"{failed} rows"
    detail = f"{counted} failed; the job allows {move.after.max_errors}."
    record_failure(connection, move.id, JobFailure(code=TOO_MANY_ERRORS, detail=detail))


def _write_counters(connection: Connection, moves: Sequence[JobProgress]) -> None:
    # Jobs that end alike are written together: for one-row jobs that is nearly all of a batch.
    alike = defaultdict(list)
    for move in moves:
        after = move.after
        key = (
            after.state,
            after.rows_succeeded,
            after.rows_failed,
            after.chunks_finished,
            move.release,
        )
        alike[key].append(move.id)
    for (state, succeeded, failed, finished, release), ids in alike.items():
        values: dict[str, Any] = {
            "state": state,
            "rows_succeeded": succeeded,
            "rows_failed": failed,
            "chunks_finished": finished,
            "chunks_released": release,
        }
        if state in TERMINAL:
            values |= {"finished_at": now(), "expires_at": now(jobs.c.retention_seconds)}
        connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(values))


def merge_job_summary(connection: Connection, job: JobId) -> None:
    """Write the summary of `job` as the sum of those of its chunks."""
    parts = connection.scalars(
        select(results.c.summary).where(results.c.job_id == job, results.c.summary.is_not(None))
    )
    connection.execute(update(jobs).where(jobs.c.id == job).values(summary=merge_summaries(parts)))


def record_failure(connection: Connection, job: JobId, failure: JobFailure) -> None:
    """Write why `job` came to nothing, unless something came before."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job, jobs.c.error_code.is_(None))
        .values(error_code=failure.code, error_detail=failure.detail[:500])
    )


def _release(connection: Connection, moves: Sequence[JobProgress], republish: timedelta) -> None:
    refs = [dispatch.ref for move in moves for dispatch in move.freed]
    if refs:
        connection.execute(
            update(chunks)
            .where(key_in(refs))
            .values(next_publish_at=now(republish.total_seconds()), publishes=1)
        )
