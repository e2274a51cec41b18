"""The sweep on a real database and a real Redis: what it takes up, mends and leaves alone."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Connection, select, update

from shared.broker.client import MAX_QUEUE_LENGTH, MessageQueue
from shared.db.engine import Database
from shared.db.jobs.complete import complete
from shared.db.queries.jobs import read_job
from shared.db.schema import chunks, jobs
from shared.db.sweeps.reconcile import ScanPosition, reconcile_jobs
from shared.db.sweeps.recovery import reschedule_all
from shared.db.types import now
from shared.domain.chunks import MessageLimits
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import ChunkRef, ChunkState, JobId, JobState, Queue, RetryPolicy
from tests.factories import OUTBOX, a_submission, answered, submit, take
from worker.sweeper.runner import Sweeper

LIMITS = MessageLimits(rows=20_000, chunks=500)
POLICY = RetryPolicy(max_attempts=4)


@pytest.fixture
def client(redis_url: str) -> Iterator["Redis"]:
    """A Redis to look into."""
    with Redis.from_url(redis_url) as opened:
        yield opened


@pytest.fixture
def sweep(database: Database, redis_url: str) -> Sweeper:
    """A sweep of an empty database, whose Redis is marked as known."""
    queue = MessageQueue(redis_url, LIMITS, pause=0.0, full=2 * MAX_QUEUE_LENGTH)
    queue.mark_epoch()
    return Sweeper(database=database, queue=queue, limits=LIMITS, retry=POLICY, outbox=OUTBOX)


def make_due(database: Database, **changes: Any) -> None:
    """Let the time come at which every pending chunk is published again."""
    values = {"next_publish_at": now(-1)} | changes
    pending = chunks.c.state == ChunkState.PENDING
    database.write(lambda c: c.execute(update(chunks).where(pending).values(values)))


def publishes(database: Database) -> list[int]:
    """Return how often each chunk has been published, in ascending order."""
    return sorted(database.read(lambda c: c.scalars(select(chunks.c.publishes)).all()))


def length(client: "Redis", queue: Queue = Queue.INTERACTIVE) -> int:
    """Count the messages that wait in `queue`."""
    waiting = client.llen(queue.value)
    assert isinstance(waiting, int)
    return waiting


def test_chunks_that_find_no_room_in_redis_stay_due(
    database: Database, sweep: Sweeper, client: "Redis"
) -> None:
    """After a large batch lost its worker only what was published waits longer for its next turn.

    Chunks tried before travel alone, so a hundred of them are more messages than Redis takes.
    """
    submit(database, *(a_submission() for _ in range(100)))
    make_due(database, attempt=1, publishes=0)

    assert sweep()

    assert length(client) == MAX_QUEUE_LENGTH // 2
    assert publishes(database) == [0] * (100 - MAX_QUEUE_LENGTH // 2) + [1] * (
        MAX_QUEUE_LENGTH // 2
    )


def test_a_backlog_is_published_to_its_end_as_workers_make_room(
    database: Database, sweep: Sweeper, client: "Redis"
) -> None:
    """Each chunk once, and never more messages than Redis is meant to hold."""
    submit(database, *(a_submission() for _ in range(100)))
    make_due(database, attempt=1, publishes=0)
    rounds = 0

    while sweep():
        rounds += 1
        assert length(client) <= MAX_QUEUE_LENGTH // 2
        client.delete(Queue.INTERACTIVE.value)

    assert rounds == 4
    assert publishes(database) == [1] * 100


def test_a_queue_that_new_work_keeps_full_still_takes_a_little_old_work(
    database: Database, sweep: Sweeper, client: "Redis"
) -> None:
    """A chunk whose message was lost does not wait until the rush is over."""
    submit(database, *(a_submission() for _ in range(20)))
    make_due(database, attempt=1)
    client.lpush(Queue.INTERACTIVE.value, *["message"] * MAX_QUEUE_LENGTH)

    assert not sweep()
    assert 0 < length(client) - MAX_QUEUE_LENGTH < 8
    for _ in range(100):
        make_due(database, attempt=1)
        sweep()

    assert length(client) == 2 * MAX_QUEUE_LENGTH


class GoneWhenAllIsMadeDue:
    """A database that goes down just when what Redis lost is to be made due."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, work: Callable[[Connection], Any]) -> Any:
        if work is reschedule_all:
            raise DatabaseDown
        return self._database.write(work)


def test_a_flush_is_not_forgotten_when_the_sweeper_fails_half_way(
    database: Database, sweep: Sweeper, client: "Redis"
) -> None:
    """Redis is marked as known only once all that it lost is due."""
    submit(database, a_submission())
    client.flushdb()
    half: Any = GoneWhenAllIsMadeDue(database)
    with pytest.raises(DatabaseDown):
        replace(sweep, database=half)()
    assert sweep.queue.was_emptied()

    sweep()

    assert not sweep.queue.was_emptied()
    assert length(client) == 1


def test_one_step_that_fails_does_not_keep_the_others_from_their_work(
    database: Database, sweep: Sweeper, client: "Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """A queue that is no list breaks the publishing; the job past its deadline still expires."""
    (ref,) = submit(database, a_submission(deadline=timedelta(seconds=-1)))
    client.set(Queue.INTERACTIVE.value, "not a list")

    with caplog.at_level(logging.WARNING):
        sweep()

    job = database.read(lambda c: read_job(c, ref.job))
    assert job is not None
    assert job.state is JobState.EXPIRED
    assert "publish_failed" in caplog.text


def an_old_job(database: Database, *, chunk_count: int) -> list[ChunkRef]:
    """Store a job that was submitted two minutes ago and name its chunks."""
    submission = a_submission(chunks=chunk_count, rows=3)
    submit(database, submission)
    old = jobs.update().where(jobs.c.id == submission.id).values(created_at=now(-120))
    database.write(lambda c: c.execute(old))
    return [ChunkRef(job=submission.id, seq=seq) for seq in range(chunk_count)]


def answer(database: Database, *refs: ChunkRef) -> None:
    """Run and finish `refs`."""
    outcomes = [answered(claimed) for claimed in take(database, *refs)]
    database.write(lambda c: complete(c, outcomes, OUTBOX))


def spoil(database: Database, job: JobId, **counters: int) -> None:
    """Write wrong counters, as no code of ours does."""
    database.write(lambda c: c.execute(update(jobs).where(jobs.c.id == job).values(counters)))


def test_a_job_that_does_not_know_of_its_last_chunk_is_recounted_and_ends(
    database: Database, sweep: Sweeper, caplog: pytest.LogCaptureFixture
) -> None:
    """Its counters become the sums over its results, and its state follows from them."""
    first, second = an_old_job(database, chunk_count=2)
    answer(database, first, second)
    unfinished = {"state": JobState.RUNNING, "chunks_finished": 1, "rows_succeeded": 3}
    spoil(database, first.job, **unfinished)  # type: ignore[arg-type]

    sweep()

    job = database.read(lambda c: read_job(c, first.job))
    assert job is not None
    assert (job.state, job.rows_succeeded, job.rows_failed) == (JobState.SUCCEEDED, 6, 0)
    assert job.summary is not None
    assert "job_recounted" in caplog.text


def test_a_running_job_whose_counters_agree_is_left_alone(
    database: Database, sweep: Sweeper, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is written and nothing is told."""
    first, _ = an_old_job(database, chunk_count=2)
    answer(database, first)

    sweep()
    sweep()

    job = database.read(lambda c: read_job(c, first.job))
    assert job is not None
    assert (job.state, job.rows_succeeded) == (JobState.RUNNING, 3)
    assert "job_recounted" not in caplog.text


def test_recounting_goes_round_all_old_jobs_a_few_at_a_time(database: Database) -> None:
    """The running ones first, then the queued; then it begins anew."""
    spoiled = []
    for _ in range(5):
        first, _second = an_old_job(database, chunk_count=2)
        answer(database, first)
        spoil(database, first.job, chunks_finished=0)
        spoiled.append(first.job)
    mended: list[JobId] = []
    place: ScanPosition | None = None

    for _ in range(4):
        look = partial(reconcile_jobs, after=place, outbox=OUTBOX, limit=2)
        recounted = database.write(look)
        assert len(recounted.repaired) <= 2
        mended += recounted.repaired
        place = recounted.last

    assert sorted(mended) == sorted(spoiled)
    assert place is None
