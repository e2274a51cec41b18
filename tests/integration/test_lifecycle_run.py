"""The batch run on a real database: long batches, bugs in the model, work that was stopped."""

import threading
import time
from array import array
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select, update

from shared.db.engine import Database
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.claim import Claimant, claim
from shared.db.queries.jobs import read_job
from shared.db.queries.results import read_small_results
from shared.db.schema import chunks
from shared.db.sweeps.recovery import rescue_expired_leases
from shared.domain.chunks import Encoding, Submission
from shared.domain.csv_layout import CsvLayout
from shared.domain.jobs import ChunkRef, Job, JobState, RetryPolicy
from shared.zstd import compress
from tests.factories import OUTBOX, a_submission, submit
from tests.fakes import FakeModels, FakePredictor, FakeQueue, a_loaded_model
from worker.batch.run import RunBatch

POLICY = RetryPolicy(max_attempts=2, first_delay=timedelta(0))
BUG = 2.5


@dataclass
class SlowPredictor(FakePredictor):
    """Begins when asked and goes on when told."""

    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__()

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.intp]:
        self.begun.set()
        assert self.go_on.wait(3600)
        return super().predict(rows)


def a_run(database: Database, predictor: FakePredictor, lease: float = 15.0) -> RunBatch:
    """Make a batch run whose only model asks `predictor`."""
    parts: Any = {"models": FakeModels(a_loaded_model(predictor)), "queue": FakeQueue()}
    return RunBatch(
        database=database,
        new_token=lambda: f"t{time.monotonic_ns()}",
        lease=timedelta(seconds=lease),
        retry=POLICY,
        outbox=OUTBOX,
        **parts,
    )


def of_numbers(*numbers: float) -> Submission:
    """Make a job of one row that begins with each of `numbers`, a chunk each."""
    made = a_submission(chunks=len(numbers))
    bodies = [array("d", [number, 0.0, 0.0]).tobytes() for number in numbers]
    parts = zip(made.chunks, bodies, strict=True)
    return replace(made, chunks=tuple(replace(chunk, body=body) for chunk, body in parts))


WAYS = pytest.mark.parametrize("publishes", [1, 2], ids=["unclaimed", "claimed"])


def sent(database: Database, job: Submission, publishes: int) -> ChunkRef:
    """Store a job of one chunk; what was published more than once is run under a claim."""
    (ref,) = submit(database, job)
    database.write(lambda c: c.execute(update(chunks).values(publishes=publishes)))
    return ref


def the_job(database: Database, ref: ChunkRef) -> Job:
    """Read the job of `ref`."""
    job = database.read(lambda c: read_job(c, ref.job))
    assert job is not None
    return job


def test_a_batch_that_takes_longer_than_its_lease_keeps_its_claim(database: Database) -> None:
    """Its heartbeat renews the lease, so the sweep leaves it alone and nobody runs it twice."""
    ref = sent(database, of_numbers(1), publishes=2)
    predictor = SlowPredictor()
    batch = threading.Thread(target=a_run(database, predictor, lease=0.6), args=([ref],))
    batch.start()
    assert predictor.begun.wait(3600)

    time.sleep(1.5)
    recovered = database.write(lambda c: rescue_expired_leases(c, POLICY, OUTBOX, 10))
    predictor.go_on.set()
    batch.join()

    assert recovered.returned == ()
    job = the_job(database, ref)
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


@WAYS
def test_a_job_canceled_while_it_runs_gets_no_result(database: Database, publishes: int) -> None:
    """The worker finds that out when it comes to write."""
    ref = sent(database, of_numbers(1), publishes)
    predictor = SlowPredictor()
    batch = threading.Thread(target=a_run(database, predictor), args=([ref],))
    batch.start()
    assert predictor.begun.wait(3600)

    database.write(lambda c: stop_job(c, ref.job, JobState.CANCELED))
    predictor.go_on.set()
    batch.join()

    job = the_job(database, ref)
    assert (job.state, job.rows_succeeded) == (JobState.CANCELED, 0)


def test_a_chunk_on_which_the_model_breaks_does_not_take_its_batch_with_it(
    database: Database,
) -> None:
    """The others succeed at once; it is tried again and then fails with a reason."""
    refs = submit(database, of_numbers(1), of_numbers(BUG), of_numbers(2))
    run = a_run(database, FakePredictor(breaks=[BUG]))

    run(refs)

    states = [the_job(database, ref).state for ref in refs]
    assert states == [JobState.SUCCEEDED, JobState.RUNNING, JobState.SUCCEEDED]
    run(refs)
    failed = the_job(database, refs[1])
    assert failed.state is JobState.FAILED
    assert failed.failure is not None
    assert failed.failure.code == "prediction_failed"
    assert "the model has a bug" in failed.failure.detail


@WAYS
def test_a_bug_of_the_model_is_counted_as_often_as_it_is_met(
    database: Database, publishes: int
) -> None:
    """The first attempt, which takes no claim, is none: it is made anew under one, at once."""
    ref = sent(database, of_numbers(BUG), publishes)
    run = a_run(database, FakePredictor(breaks=[BUG]))

    for attempts in range(1, POLICY.max_attempts + 1):
        assert the_job(database, ref).state in {JobState.QUEUED, JobState.RUNNING}
        run([ref])
        assert the_job(database, ref).attempts == attempts

    assert the_job(database, ref).state is JobState.FAILED


def test_a_slow_first_attempt_is_overtaken_by_a_claim(database: Database) -> None:
    """The sweep sends the job again, another worker claims it, and the late one writes nothing."""
    ref = sent(database, of_numbers(1), publishes=1)
    slow = SlowPredictor()
    batch = threading.Thread(target=a_run(database, slow), args=([ref],))
    batch.start()
    assert slow.begun.wait(3600)

    database.write(lambda c: c.execute(update(chunks).values(publishes=2)))
    a_run(database, FakePredictor())([ref])
    finished = the_job(database, ref)
    slow.go_on.set()
    batch.join()

    assert (finished.state, finished.attempts) == (JobState.SUCCEEDED, 1)
    assert the_job(database, ref) == finished


def test_who_is_told_of_an_end_can_read_it(database: Database) -> None:
    """A first attempt without a claim tells it like any other."""
    ref = sent(database, of_numbers(1), publishes=1)
    run = a_run(database, FakePredictor())
    assert isinstance(run.queue, FakeQueue)

    run([ref])

    assert (run.queue.ended, run.queue.notified) == ({ref.job}, set())


def of_lines(text: bytes, first_line: int, rows: int) -> Submission:
    """Make a job of a part of a CSV."""
    made = a_submission(rows=rows)
    layout = CsvLayout(delimiter=",", width=3, positions=(0, 1, 2), id_position=None, names=())
    (chunk,) = made.chunks
    csv = replace(
        chunk,
        encoding=Encoding.CSV_ZSTD,
        body=compress(text),
        first_line=first_line,
        row_count=rows,
    )
    return replace(made, layout=layout, chunks=(csv,))


@pytest.mark.parametrize("died", [False, True])
def test_rows_that_are_given_up_are_named_by_their_lines(database: Database, *, died: bool) -> None:
    """Also between blank lines, whether the model broke or its workers died."""
    (ref,) = submit(database, of_lines(b"2.5,0,0\n\n \n1,0,0\n", 7, rows=2))
    run = a_run(database, FakePredictor(breaks=[BUG]))

    expired = Claimant(token="t", lease=timedelta(seconds=-1))

    for _ in range(POLICY.max_attempts):
        if died:
            database.write(lambda c: claim(c, [ref], expired))
            database.write(lambda c: rescue_expired_leases(c, POLICY, OUTBOX, 10))
        else:
            run([ref])

    (given_up,) = database.read(lambda c: read_small_results(c, [ref.job]))[ref.job]
    assert given_up.failure is not None
    assert [given_up.line(0), given_up.line(1)] == [7, 10]


@pytest.mark.parametrize("times", [2, 3])
def test_a_message_that_comes_more_than_once_is_run_once(database: Database, times: int) -> None:
    """Whoever comes later finds nothing to claim, and asks the model nothing."""
    refs = submit(database, of_numbers(1), of_numbers(2))
    predictor = FakePredictor()
    run = a_run(database, predictor)

    for _ in range(times):
        run(refs)

    assert len(predictor.asked) == 1
    attempts = select(chunks.c.attempt)
    assert set(database.read(lambda c: c.scalars(attempts).all())) == {1}
