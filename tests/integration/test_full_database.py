"""A database that stores no results for a while: work waits for it, and no job fails by it."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import make_url, select

from shared.db.engine import Database, open_database
from shared.db.queries.jobs import read_job
from shared.db.schema import chunks
from shared.domain.chunks import MessageLimits, Submission
from shared.domain.errors import DatabaseDown, DatabaseUnwritable
from shared.domain.jobs import ChunkState, JobState, RetryPolicy
from tests.chaos.mysql_proxy import MySQLProxy, ServerError
from tests.factories import OUTBOX, submit, take
from tests.fakes import FakePredictor, FakeQueue
from tests.integration.test_lifecycle_run import a_run, of_numbers
from tests.waiting import wait_for
from worker.batch.run import RunBatch
from worker.sweeper.runner import Sweeper

ERRORS = [
    ServerError(1114, "The table 'results' is full"),
    ServerError(1290, "The server is running with the --read-only option"),
    ServerError(1045, "Access denied"),
    ServerError(1226, "User has exceeded the 'max_updates' resource"),
    ServerError(1205, "Lock wait timeout exceeded"),
]


@pytest.fixture(params=["mariadb", "mysql"])
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database without rows, on each server in turn."""
    schema = request.getfixturevalue(f"{request.param}_schema")
    schema.empty()
    return str(schema.url)


@pytest.fixture
def proxy(server_url: str) -> Iterator[MySQLProxy]:
    """A proxy before the server."""
    with MySQLProxy(make_url(server_url).port or 3306) as proxy:
        yield proxy


@pytest.fixture
def database(proxy: MySQLProxy, server_url: str) -> Iterator[Database]:
    """The database as seen through the proxy."""
    url = make_url(server_url).set(port=proxy.port)
    opened = open_database(url.render_as_string(hide_password=False), answer_seconds=2)
    yield opened
    opened.close()


def a_patient_run(database: Database, patience: float) -> RunBatch:
    """Make a batch run that keeps predictions for `patience` seconds."""
    return replace(a_run(database, FakePredictor()), patience=timedelta(seconds=patience))


def attempts(database: Database, job: Submission) -> list[tuple[str, int]]:
    """Read state and attempt of each chunk."""
    query = select(*chunks.c["state", "attempt"]).where(chunks.c.job_id == job.id)
    return [(row.state, row.attempt) for row in database.read(lambda c: c.execute(query).all())]


def state(database: Database, job: Submission) -> JobState:
    """Read a job's state."""
    found = database.read(lambda c: read_job(c, job.id))
    assert found is not None
    return found.state


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.code))
@pytest.mark.parametrize("count", [1, 2], ids=["without a claim", "claimed"])
def test_predictions_are_kept_until_they_can_be_stored(
    database: Database, proxy: MySQLProxy, error: ServerError, count: int
) -> None:
    """The job succeeds at its first attempt."""
    job = of_numbers(*range(1, count + 1))
    refs = submit(database, job)
    harmed = proxy.harmed
    proxy.fail_statements(b"INSERT INTO results", error)
    run = a_patient_run(database, 600)
    batch = threading.Thread(target=run, args=(refs,), daemon=True)
    batch.start()
    wait_for(lambda: proxy.harmed > harmed + 1, 120, every=0.05)
    proxy.heal()
    batch.join()

    assert state(database, job) is JobState.SUCCEEDED
    assert attempts(database, job) == [(ChunkState.DONE, 1)] * count


def test_an_attempt_whose_result_had_no_room_is_not_counted(
    database: Database, proxy: MySQLProxy
) -> None:
    """However often: the policy allows two attempts, and the fifth stores the result."""
    job = of_numbers(1, 2)
    refs = submit(database, job)
    proxy.fail_statements(b"INSERT INTO results", ERRORS[0])
    for _ in range(4):
        with pytest.raises(DatabaseUnwritable):
            a_patient_run(database, 0)(refs)
        assert attempts(database, job) == [(ChunkState.PENDING, 0)] * 2
    proxy.heal()

    a_patient_run(database, 0)(refs)

    assert state(database, job) is JobState.SUCCEEDED


def a_sweep(database: Database) -> Sweeper:
    """Make a sweep that lets workers renew leases for a moment."""
    return Sweeper(
        database=database,
        queue=FakeQueue(),  # type: ignore[arg-type]
        limits=MessageLimits(rows=100, chunks=10),
        retry=RetryPolicy(max_attempts=1, first_delay=timedelta(0)),
        outbox=OUTBOX,
        lease=timedelta(seconds=0.2),
    )


def is_down(sweep: Sweeper) -> bool:
    """Return whether `sweep` finds the database down."""
    try:
        sweep()
    except DatabaseDown:
        return True
    return False


def test_a_lease_that_ran_out_in_an_outage_is_no_attempt(
    database: Database, proxy: MySQLProxy
) -> None:
    """Nobody could renew it: it is given back uncounted, a while after the outage."""
    job = of_numbers(1, 2)
    refs = submit(database, job)
    run = replace(a_patient_run(database, 0), lease=timedelta(0))
    sweep = a_sweep(database)
    proxy.fail_statements(b"INSERT INTO results", ServerError(1040, "Too many connections"))
    with pytest.raises(DatabaseDown):
        run(refs)
    proxy.fail_statements(b"UPDATE chunks", ServerError(1040, "Too many connections"))
    # The run's connection may hold its rows a moment longer, and the sweep skips locked ones.
    wait_for(lambda: is_down(sweep), 60)
    proxy.heal()

    wait_for(lambda: not sweep() and attempts(database, job) == [(ChunkState.PENDING, 0)] * 2, 60)

    a_patient_run(database, 0)(refs)
    assert state(database, job) is JobState.SUCCEEDED


def test_a_lease_that_ran_out_otherwise_is_an_attempt(database: Database) -> None:
    """A chunk that kills its workers still comes to an end."""
    job = of_numbers(1)
    (ref,) = submit(database, job)
    take(database, ref, lease=0)
    a_sweep(database)()

    assert state(database, job) is JobState.FAILED
