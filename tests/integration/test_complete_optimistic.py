"""First attempts without a claim, on real databases: as good as claimed ones, or nothing at all."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from shared.db.engine import Database
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.complete import Completion
from shared.db.jobs.complete_optimistic import complete_optimistic, read_unclaimed
from shared.db.mysql_pipeline import StaleRows
from shared.db.queries.jobs import erase
from shared.db.schema import chunks, inputs
from shared.db.sweeps.recovery import dispatch_due, reschedule_all, rescue_expired_leases
from shared.domain.chunks import ChunkResult, ClaimedChunk, Submission, Webhook
from shared.domain.jobs import ChunkRef, JobState, Queue, RetryPolicy
from shared.domain.rows import RowError
from tests.factories import (
    OUTBOX,
    a_submission,
    answered,
    chunk_states,
    job_of,
    labels_of,
    submit,
    take,
)

RETRY = RetryPolicy(max_attempts=2)


def look(database: Database, *refs: ChunkRef) -> list[ClaimedChunk]:
    """Read those of `refs` that may be tried without a claim."""
    return database.read(lambda c: read_unclaimed(c, refs))


def end(database: Database, *outcomes: ChunkResult) -> Completion:
    """Finish `outcomes`, which were read a quarter of a second ago."""
    return database.write(lambda c: complete_optimistic(c, outcomes, 0.25))


def take_all(database: Database) -> None:
    """Publish what is due once more."""
    interval = timedelta(seconds=5)
    database.write(lambda c: dispatch_due(c, Queue.INTERACTIVE, 10, interval))


def test_a_job_ends_as_if_its_chunk_had_been_claimed(database: Database) -> None:
    """With one attempt, and a start that lies before the end."""
    job = a_submission(rows=3)
    (ref,) = submit(database, job)

    (found,) = look(database, ref)
    assert job_of(database, job.id).state is JobState.QUEUED
    finished = end(database, answered(found))

    assert finished == Completion(
        written=(ref,), lost=(), released=(), jobs={job.id: JobState.SUCCEEDED}
    )
    done = job_of(database, job.id)
    assert (done.state, done.rows_succeeded, done.rows_failed) == (JobState.SUCCEEDED, 3, 0)
    assert done.attempts == 1
    assert done.started_at is not None
    assert done.finished_at is not None
    assert done.expires_at == done.finished_at + timedelta(days=1)
    assert timedelta(seconds=0.2) < done.finished_at - done.started_at < timedelta(seconds=0.3)
    assert labels_of(database, job.id) == ["SIRA"] * 3
    row = database.read(lambda c: c.execute(select(chunks)).one())
    assert (row.state, row.fence, row.attempt, row.next_publish_at) == ("done", 1, 1, None)


def test_what_is_read_is_what_would_have_been_claimed(database: Database) -> None:
    """Under the same fence, with the same rows."""
    (ref,) = submit(database, a_submission(rows=2))

    found = look(database, ref)

    assert found == take(database, ref)


def test_jobs_that_end_in_several_ways_are_ended_together(database: Database) -> None:
    """Each with its own counters."""
    good, mixed, bad = a_submission(), a_submission(rows=2), a_submission()
    found = {c.ref.job: answered(c) for c in look(database, *submit(database, good, mixed, bad))}
    error = RowError(row=0, code="missing", detail="The value is null.", field="3")
    outcomes = [
        found[good.id],
        replace(found[mixed.id], labels=[None, "SIRA"], errors=(error,)),
        replace(found[bad.id], labels=[None], errors=(error,)),
    ]

    finished = end(database, *outcomes)

    ends = (JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED)
    assert tuple(finished.jobs[job.id] for job in (good, mixed, bad)) == ends
    assert tuple(job_of(database, job.id).state for job in (good, mixed, bad)) == ends
    assert job_of(database, mixed.id).rows_failed == 1


@pytest.mark.parametrize(
    "other",
    [
        a_submission(chunks=2),
        replace(a_submission(), max_errors=3),
        replace(a_submission(), webhook=Webhook(url="https://there.example", host="there.example")),
        replace(a_submission(), state=JobState.RECEIVING),
        a_submission(rows=1001),
    ],
    ids=["two chunks", "a limit of errors", "a webhook", "still arriving", "many rows"],
)
def test_a_job_that_hangs_on_more_is_left_to_be_claimed(
    database: Database, other: Submission
) -> None:
    """Its end takes a look at more than its one chunk."""
    refs = submit(database, replace(other, id=a_submission().id))

    assert look(database, *refs) == []
    assert len(take(database, *refs)) == len(refs)


def test_a_batch_without_a_claim_has_few_rows(database: Database) -> None:
    """However they are spread, so that it is done before anybody comes for it."""
    refs = submit(database, a_submission(rows=500), a_submission(rows=501))

    assert [c.row_count for c in look(database, *refs)] == [500]
    assert look(database) == []


def claim_it(database: Database, ref: ChunkRef) -> None:
    """Let another worker claim it."""
    assert take(database, ref)


def finish_it(database: Database, ref: ChunkRef) -> None:
    """Let another worker finish it without a claim."""
    end(database, *(answered(found, "CALI") for found in look(database, ref)))


def cancel_it(database: Database, ref: ChunkRef) -> None:
    """Let the client cancel it."""
    database.write(lambda c: stop_job(c, ref.job, JobState.CANCELED))


def delete_it(database: Database, ref: ChunkRef) -> None:
    """Let it be canceled, and its retention run out."""
    cancel_it(database, ref)
    database.write(lambda c: erase(c, [ref.job]))


def return_it(database: Database, ref: ChunkRef) -> None:
    """Let another worker claim it and die."""
    take(database, ref, lease=-1)
    database.write(lambda c: rescue_expired_leases(c, RETRY, OUTBOX, 10))


BETWEEN = [claim_it, finish_it, cancel_it, delete_it, return_it]


@pytest.mark.parametrize("between", BETWEEN, ids=lambda done: done.__name__)
def test_who_was_overtaken_writes_nothing_at_all(
    database: Database, between: Callable[[Database, ChunkRef], None]
) -> None:
    """Whatever happened to one of its chunks: the other one is not finished either."""
    refs = submit(database, a_submission(), a_submission())
    outcomes = [answered(found) for found in look(database, *refs)]
    between(database, refs[0])
    before = [row_of(database, ref) for ref in refs]

    with pytest.raises(StaleRows):
        end(database, *outcomes)

    assert [row_of(database, ref) for ref in refs] == before
    assert "SIRA" not in labels_of(database, refs[0].job)
    assert labels_of(database, refs[1].job) == []
    assert job_of(database, refs[1].job).state is JobState.QUEUED
    # It is still there to be tried, and what was overtaken is not tried without a claim again.
    assert [found.ref for found in look(database, *refs)] == [refs[1]]


def row_of(database: Database, ref: ChunkRef) -> tuple[object, ...] | None:
    """Read a chunk's row."""
    query = select(chunks).where(chunks.c.job_id == ref.job, chunks.c.seq == ref.seq)
    row = database.read(lambda c: c.execute(query).first())
    return None if row is None else tuple(row)


def test_a_finish_run_again_after_a_lost_connection_changes_nothing(database: Database) -> None:
    """When the commit's answer was lost: whoever asks is told that somebody was there before."""
    job = a_submission()
    (found,) = look(database, *submit(database, job))
    end(database, answered(found))

    with pytest.raises(StaleRows):
        end(database, answered(found, "CALI"))

    assert labels_of(database, job.id) == ["SIRA"]
    assert job_of(database, job.id).rows_succeeded == 1


def test_what_was_published_again_is_left_to_be_claimed(database: Database) -> None:
    """It may have killed the worker that read it first: from now on attempts are counted."""
    job = a_submission()
    (ref,) = submit(database, job)
    assert look(database, ref)

    past = datetime.now(UTC) - timedelta(minutes=1)
    database.write(lambda c: c.execute(update(chunks).values(next_publish_at=past)))
    take_all(database)

    assert look(database, ref) == []
    (claimed,) = take(database, ref)
    assert claimed.attempt == 1


def test_after_redis_was_emptied_a_chunk_is_as_new(database: Database) -> None:
    """Its message was lost, which says nothing against it: a whole backlog goes the short way."""
    (ref,) = submit(database, a_submission())
    database.write(reschedule_all)
    take_all(database)

    assert [found.ref for found in look(database, ref)] == [ref]


def test_a_chunk_without_its_rows_is_not_run(database: Database) -> None:
    """A job that is being erased just now."""
    (ref,) = submit(database, a_submission())
    database.write(lambda c: c.execute(delete(inputs)))

    assert look(database, ref) == []
    assert chunk_states(database, ref.job) == ["pending"]
