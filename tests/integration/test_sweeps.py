"""What the sweep finds on real databases: what is due, too late, or old enough to be erased."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Column, Connection, select, text

from shared.db.engine import Database
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.claim import give_back
from shared.db.jobs.complete import complete
from shared.db.schema import chunks, inputs, jobs, results
from shared.db.sweeps.prune import PurgeLimits, delete_expired, purge_chunks
from shared.db.sweeps.recovery import (
    dispatch_due,
    expire_jobs,
    reschedule_all,
)
from shared.domain.chunks import Dispatch
from shared.domain.jobs import (
    TERMINAL,
    JobId,
    JobState,
    Queue,
)
from tests.factories import OUTBOX, a_submission, answered, chunk_states, job_of, submit, take


def due_dispatches(database: Database, queue: Queue = Queue.INTERACTIVE) -> Sequence[Dispatch]:
    """Take what is due."""
    return database.write(lambda c: dispatch_due(c, queue, 10, timedelta(seconds=5)))


def due(database: Database, queue: Queue = Queue.INTERACTIVE) -> list[JobId]:
    """Take what is due and name the jobs."""
    return [dispatch.ref.job for dispatch in due_dispatches(database, queue)]


def ids_in(connection: Connection, key: Column[str]) -> Sequence[str]:
    """Return all values of a column."""
    return connection.scalars(select(key)).all()


def test_what_nobody_claims_is_published_again_and_then_more_rarely(database: Database) -> None:
    """A pending chunk becomes due after a while; taking it puts the next time further off."""
    job = a_submission()
    submit(database, job)
    assert due(database) == []

    database.write(reschedule_all)
    assert due(database, Queue.BULK) == []
    assert due(database) == [job.id]
    assert due(database) == []


def test_a_claim_given_back_waits_for_its_next_attempt(database: Database) -> None:
    """What a worker could not do is published again later, and the attempt stays counted."""
    job = a_submission()
    (claimed,) = take(database, *submit(database, job))

    assert database.write(
        lambda c: give_back(c, claimed, reason="no memory", after=timedelta(hours=1))
    )

    assert due(database) == []
    database.write(reschedule_all)
    assert [dispatch.own_message for dispatch in due_dispatches(database)] == [True]
    assert take(database, claimed.ref)[0].attempt == 2


def test_chunks_outside_the_window_are_never_due(database: Database) -> None:
    """Redis learns of a job's later chunks only as the earlier ones finish."""
    submit(database, a_submission(chunks=5))
    database.write(reschedule_all)

    assert len(due(database)) == OUTBOX.window


@pytest.mark.parametrize("state", [JobState.CANCELED, JobState.EXPIRED])
@pytest.mark.parametrize("source", sorted(TERMINAL))
def test_a_finished_job_cannot_be_stopped(
    database: Database, source: JobState, state: JobState
) -> None:
    """Every forbidden move to canceled or expired is refused by the row itself."""
    job = a_submission()
    submit(database, job)
    database.write(lambda c: c.execute(jobs.update().values(state=source)))

    assert not database.write(lambda c: stop_job(c, job.id, state))
    assert job_of(database, job.id).state is source
    assert chunk_states(database, job.id) == ["pending"]


def test_a_job_past_its_deadline_expires(database: Database) -> None:
    """Its open chunks are canceled, so no worker claims them any more."""
    late, early = a_submission(deadline=timedelta(seconds=-1)), a_submission()
    refs = submit(database, late, early)

    assert database.write(lambda c: expire_jobs(c, 10)) == [late.id]
    assert job_of(database, late.id).state is JobState.EXPIRED
    assert [c.ref.job for c in take(database, *refs)] == [early.id]


def test_a_job_is_erased_when_its_retention_is_over(database: Database) -> None:
    """Nothing of an old job stays in any table; younger and unfinished ones stay."""
    old, young, waiting = a_submission(retention=timedelta(0)), a_submission(), a_submission()
    refs = submit(database, old, young, waiting)
    outcomes = [answered(claimed) for claimed in take(database, *refs[:2])]
    database.write(lambda c: complete(c, outcomes, OUTBOX))
    database.write(
        lambda c: c.execute(
            text("UPDATE jobs SET expires_at = '2020-01-01' WHERE retention_seconds = 0")
        )
    )

    assert database.write(lambda c: delete_expired(c, 10)) == 1
    assert database.write(lambda c: purge_chunks(c, PurgeLimits())).jobs == 1
    for table, key in ((jobs, jobs.c.id), (chunks, chunks.c.job_id), (inputs, inputs.c.job_id)):
        left = set(database.read(partial(ids_in, key=key)))
        assert left == {young.id, waiting.id}, table.name
    assert set(database.read(lambda c: c.scalars(select(results.c.job_id)).all())) == {young.id}
