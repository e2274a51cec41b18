"""Claims and finishes on real databases: exactly one result, whatever workers do."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import func, select, text

from shared.db.engine import Database
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.claim import Claimant, extend
from shared.db.jobs.complete import Completion, complete
from shared.db.queries.results import read_results
from shared.db.schema import jobs
from shared.db.sweeps.recovery import (
    rescue_expired_leases,
)
from shared.domain.chunks import ChunkResult
from shared.domain.jobs import (
    ChunkState,
    JobFailure,
    JobState,
    RetryPolicy,
)
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


def end(database: Database, *outcomes: ChunkResult) -> Completion:
    """Finish `outcomes`."""
    return database.write(lambda c: complete(c, outcomes, OUTBOX))


def test_a_job_goes_from_queued_through_running_to_succeeded(database: Database) -> None:
    """The states a client sees are those of the state machine, with their times."""
    job = a_submission(rows=3)
    (ref,) = submit(database, job)
    assert job_of(database, job.id).state is JobState.QUEUED

    (claimed,) = take(database, ref)
    running = job_of(database, job.id)
    assert (running.state, running.attempts) == (JobState.RUNNING, 1)
    assert running.started_at is not None

    end(database, answered(claimed))
    done = job_of(database, job.id)
    assert (done.state, done.rows_succeeded, done.rows_failed) == (JobState.SUCCEEDED, 3, 0)
    assert done.finished_at is not None
    assert done.expires_at == done.finished_at + timedelta(days=1)
    assert done.summary == {"counts": {"SIRA": 3}, "out_of_range": {}}
    assert labels_of(database, job.id) == ["SIRA"] * 3


def test_only_one_of_two_workers_claims_a_chunk(database: Database) -> None:
    """A message that was delivered twice is worked on once."""
    refs = submit(database, a_submission(), a_submission())

    assert len(take(database, *refs, token="first")) == 2
    assert take(database, *refs, token="second") == []


def test_a_claim_run_again_after_a_lost_connection_finds_its_chunks(database: Database) -> None:
    """When the commit's answer was lost, the same token still gets what it took."""
    (ref,) = submit(database, a_submission())
    first = take(database, ref, token="same")

    assert take(database, ref, token="same") == first


def test_only_one_of_two_workers_finishes_a_chunk(database: Database) -> None:
    """A claim that was taken over can no longer write its result."""
    job = a_submission()
    (ref,) = submit(database, job)
    (slow,) = take(database, ref, token="slow", lease=-1)
    database.write(lambda c: rescue_expired_leases(c, RETRY, OUTBOX, 10))
    (fast,) = take(database, ref, token="fast")

    late = end(database, answered(slow, "CALI"))
    assert (late.written, late.lost) == ((), (ref,))

    assert end(database, answered(fast, "SIRA")).written == (ref,)
    assert end(database, answered(slow, "CALI")).lost == (ref,)
    assert labels_of(database, job.id) == ["SIRA"]
    assert job_of(database, job.id).rows_succeeded == 1


def test_a_finish_run_again_after_a_lost_connection_changes_nothing(database: Database) -> None:
    """When the commit's answer was lost, the fence tells that it happened."""
    job = a_submission()
    (claimed,) = take(database, *submit(database, job))

    assert end(database, answered(claimed)).written == (claimed.ref,)
    assert end(database, answered(claimed)).written == (claimed.ref,)
    assert job_of(database, job.id).rows_succeeded == 1


def test_a_group_inserted_again_after_a_lost_connection_is_there_once(database: Database) -> None:
    """The same group stored twice gives each job once, and the same chunks to publish."""
    group = [a_submission(), a_submission()]

    assert submit(database, *group) == submit(database, *group)
    assert database.read(lambda c: c.scalar(select(func.count()).select_from(jobs))) == 2


def test_a_lost_claim_does_not_hold_back_the_rest_of_its_batch(database: Database) -> None:
    """Of a batch, the chunks still held are written."""
    one, two = a_submission(), a_submission()
    claimed = take(database, *submit(database, one, two), lease=-1)
    lost = next(c for c in claimed if c.ref.job == one.id)
    held = next(c for c in claimed if c.ref.job == two.id)
    database.write(lambda c: stop_job(c, one.id, JobState.CANCELED))

    finished = end(database, answered(lost), answered(held))

    assert (finished.written, finished.lost) == ((held.ref,), (lost.ref,))
    assert job_of(database, one.id).state is JobState.CANCELED
    assert labels_of(database, one.id) == []
    assert job_of(database, two.id).state is JobState.SUCCEEDED


def test_rows_with_errors_make_a_job_partial(database: Database) -> None:
    """A bad row keeps its error and never fails its job."""
    job = a_submission(rows=2)
    (claimed,) = take(database, *submit(database, job))
    error = RowError(row=1, code="missing", detail="The value is null.", field="3")

    end(database, replace(answered(claimed), labels=["SIRA", None], errors=(error,)))

    done = job_of(database, job.id)
    assert (done.state, done.rows_succeeded, done.rows_failed) == (JobState.PARTIAL, 1, 1)
    (stored,) = database.read(lambda c: read_results(c, job.id, 0, 2))
    assert stored.errors == (error,)


def test_a_chunk_given_up_fails_its_rows_and_says_why(database: Database) -> None:
    """A job whose only chunk was given up is failed, with the reason in the job."""
    job = a_submission(rows=2)
    (claimed,) = take(database, *submit(database, job))
    failure = JobFailure(code="worker_died", detail="It died.")

    end(database, replace(answered(claimed), labels=None, summary=None, failure=failure))

    done = job_of(database, job.id)
    assert (done.state, done.rows_failed, done.failure) == (JobState.FAILED, 2, failure)
    assert chunk_states(database, job.id) == ["failed"]


def test_a_job_finishes_with_its_last_chunk_and_sums_up_all(database: Database) -> None:
    """Chunks may finish in any order; counters and summary are those of the whole job."""
    job = a_submission(rows=2, chunks=3)
    released = submit(database, job)
    assert [ref.seq for ref in released] == [0, 1]

    second = take(database, released[1])
    finished = end(database, *map(answered, second))
    assert [dispatch.ref.seq for dispatch in finished.released] == [2]
    assert finished.jobs == {}

    rest = take(database, released[0], finished.released[0].ref)
    assert end(database, *(answered(c, "CALI") for c in rest)).jobs == {job.id: JobState.SUCCEEDED}

    done = job_of(database, job.id)
    assert done.summary == {"counts": {"CALI": 4, "SIRA": 2}, "out_of_range": {}}
    assert labels_of(database, job.id) == ["CALI", "CALI", "SIRA", "SIRA", "CALI", "CALI"]


def test_an_expired_lease_is_returned_and_then_given_up(database: Database) -> None:
    """A chunk that outlives its workers is tried again, and failed after max_attempts."""
    job = a_submission(rows=2)
    (ref,) = submit(database, job)

    take(database, ref, lease=-1)
    recovered = database.write(lambda c: rescue_expired_leases(c, RETRY, OUTBOX, 10))
    assert (recovered.returned, recovered.finished) == ((ref,), None)
    assert chunk_states(database, job.id) == ["pending"]

    take(database, ref, lease=-1)
    recovered = database.write(lambda c: rescue_expired_leases(c, RETRY, OUTBOX, 10))
    assert recovered.returned == ()
    done = job_of(database, job.id)
    assert done.failure is not None
    assert (done.state, done.failure.code, done.attempts) == (JobState.FAILED, "worker_died", 2)


def test_a_lease_that_still_holds_is_left_alone(database: Database) -> None:
    """The sweep takes nothing from a worker that is alive."""
    claimed = take(database, *submit(database, a_submission()))

    assert database.write(lambda c: rescue_expired_leases(c, RETRY, OUTBOX, 10)).returned == ()
    assert end(database, *map(answered, claimed)).lost == ()


def test_a_heartbeat_renews_the_lease(database: Database) -> None:
    """A long batch keeps its chunks by extending its claims."""
    claimed = take(database, *submit(database, a_submission()), token="slow", lease=-1)
    slow = Claimant(token="slow", lease=timedelta(seconds=15))

    assert database.write(lambda c: extend(c, claimed, slow)) == 1
    assert database.write(lambda c: rescue_expired_leases(c, RETRY, OUTBOX, 10)).returned == ()


def test_the_view_shows_a_row_for_each_label(database: Database) -> None:
    """People who query by SQL see one row for each prediction, in the job's own numbering."""
    job = a_submission(rows=2, chunks=2)
    one, two = take(database, *submit(database, job))
    end(
        database,
        answered(one),
        replace(
            answered(two), labels=["CALI", None], errors=(RowError(row=1, code="x", detail="x"),)
        ),
    )

    rows = database.read(
        lambda c: c.execute(text("SELECT * FROM predictions ORDER BY job_id, 2")).all()
    )
    assert [tuple(row[:4]) for row in rows] == [
        (job.id, 0, "SIRA", "drybeans@2"),
        (job.id, 1, "SIRA", "drybeans@2"),
        (job.id, 2, "CALI", "drybeans@2"),
    ]


def test_chunk_states_are_words_that_an_operator_can_read(database: Database) -> None:
    """The database holds the same words as the API."""
    job = a_submission()
    submit(database, job)

    assert chunk_states(database, job.id) == [ChunkState.PENDING.value]
    stored = database.read(lambda c: c.scalar(text("SELECT state FROM jobs")))
    assert stored == "queued"
