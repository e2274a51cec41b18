"""Transactions on real databases: short, whole, and run again after what passes by itself."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from operator import methodcaller

import pytest
from sqlalchemy import Connection, create_engine, func, select, text, update
from sqlalchemy.exc import StatementError
from sqlalchemy.pool import NullPool

from shared.db.engine import Database, open_database
from shared.db.jobs.submit import insert_group
from shared.db.schema import jobs
from shared.db.types import now
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import JobId
from tests.factories import OUTBOX, a_submission, submit


def is_sqlite(database: Database) -> bool:
    """Return whether `database` is SQLite, which has no connections to lose and no row locks."""
    return database.engine.dialect.name == "sqlite"


def count(connection: Connection) -> int:
    """Count the jobs."""
    return connection.scalar(select(func.count()).select_from(jobs)) or 0


def touch(connection: Connection, job: JobId) -> None:
    """Lock and change a job's row."""
    connection.execute(update(jobs).where(jobs.c.id == job).values(attempts=jobs.c.attempts + 1))


def attempts(database: Database) -> list[int]:
    """Read how often each job was touched."""
    return list(database.read(lambda c: c.scalars(select(jobs.c.attempts)).all()))


def own_id(connection: Connection) -> int:
    """Return the server's number for a connection."""
    number: int = connection.execute(text("SELECT CONNECTION_ID()")).scalar_one()
    return number


def cut(url: str, *numbers: int) -> None:
    """Kill connections to the server at `url`, as a restart or a proxy would."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        for number in numbers:
            connection.execute(text(f"KILL {number}"))


def test_what_fails_leaves_nothing(database: Database) -> None:
    """A transaction is whole or not there, and its error is not hidden."""

    def half(connection: Connection) -> None:
        insert_group(connection, [a_submission()], OUTBOX)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(half)

    assert database.read(count) == 0


def test_what_was_committed_is_read_at_once(database: Database) -> None:
    """Also on a connection that has read before: no old snapshot is looked at."""
    for expected in range(1, 4):
        submit(database, a_submission())
        assert database.read(count) == expected


def test_two_transactions_that_block_each_other_both_succeed(database: Database) -> None:
    """A deadlock's victim is run again, whole."""
    if is_sqlite(database):
        pytest.skip("SQLite has one writer at a time")
    one, two = a_submission(), a_submission()
    submit(database, one, two)
    both_hold = threading.Barrier(2)
    runs = []

    def cross(first: JobId, second: JobId) -> Callable[[Connection], None]:
        met = threading.Event()

        def work(connection: Connection) -> None:
            runs.append(first)
            touch(connection, first)
            if not met.is_set():
                met.set()
                both_hold.wait(3600)
            touch(connection, second)

        return work

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(database.write, [cross(one.id, two.id), cross(two.id, one.id)]))

    assert attempts(database) == [2, 2]
    assert len(runs) >= 3


def test_writers_take_their_turns(database: Database) -> None:
    """None is refused because another wrote between its look and its change."""
    job = a_submission()
    submit(database, job)

    def look_then_touch(connection: Connection) -> None:
        count(connection)
        time.sleep(0.01)
        touch(connection, job.id)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(database.write, [look_then_touch] * 50))

    assert attempts(database) == [50]


def test_a_connection_that_died_while_idle_is_replaced(
    database: Database, database_url: str
) -> None:
    """Nobody notices that the server, or something between, has closed it."""
    if is_sqlite(database):
        pytest.skip("SQLite has no connections to lose")
    submit(database, a_submission())
    cut(database_url, database.read(own_id), database.write(own_id))

    assert database.read(count) == 1
    submit(database, a_submission())
    assert database.read(count) == 2


def test_a_connection_that_dies_in_a_transaction_runs_it_again(
    database: Database, database_url: str
) -> None:
    """From its beginning, and only once to the end."""
    if is_sqlite(database):
        pytest.skip("SQLite has no connections to lose")
    job = a_submission()
    submit(database, job)
    runs = []

    def work(connection: Connection) -> None:
        touch(connection, job.id)
        runs.append(1)
        if len(runs) == 1:
            cut(database_url, own_id(connection))
        touch(connection, job.id)

    database.write(work)

    assert len(runs) == 2
    assert attempts(database) == [2]


def test_when_all_connections_are_taken_the_next_is_refused_soon(database_url: str) -> None:
    """A request is told 503 while the other still holds its connection."""
    database = open_database(database_url, connections=1)
    taken, leave = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        connection.execute(select(1))
        taken.set()
        leave.wait(3600)

    with ThreadPoolExecutor(1) as pool:
        holder = pool.submit(database.read, hold)
        assert taken.wait(3600)
        with pytest.raises(DatabaseDown):
            database.read(count)
        leave.set()
        holder.result(timeout=3600)

    assert database.read(count) == 0
    database.close()


def test_reading_goes_on_while_another_writes(database: Database) -> None:
    """Looking at a job never waits for a transaction, on SQLite either."""
    submit(database, a_submission())

    def write(connection: Connection) -> int:
        connection.execute(update(jobs).values(attempts=7))
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(attempts, database).result(timeout=3600)[0]

    assert database.write(write) == 0
    assert attempts(database) == [7]


def test_the_clock_is_the_databases_own(database: Database) -> None:
    """In UTC, with an offset in seconds that may be a column."""
    submit(database, a_submission(retention=timedelta(days=2)))
    here, ahead, behind, kept = database.read(
        lambda c: c.execute(
            select(now(), now(1.5), now(-60.0), now(jobs.c.retention_seconds))
        ).one()
    )

    assert abs(here - datetime.now(UTC)) < timedelta(minutes=30)
    assert abs(ahead - here - timedelta(seconds=1.5)) < timedelta(milliseconds=2)
    assert abs(here - behind - timedelta(seconds=60)) < timedelta(milliseconds=2)
    assert abs(kept - here - timedelta(days=2)) < timedelta(milliseconds=2)


def test_instants_compare_with_the_databases_clock(database: Database) -> None:
    """A stored instant that is past is past to the database too, to the millisecond."""
    one, two, here = a_submission(), a_submission(), datetime.now(UTC)
    past, coming = here - timedelta(seconds=1), here + timedelta(seconds=9)
    submit(database, one, two)
    for job, moment in ((one, past), (two, coming)):
        statement = update(jobs).where(jobs.c.id == job.id).values(expires_at=moment)
        database.write(methodcaller("execute", statement))

    over = database.read(
        lambda c: c.scalars(select(jobs.c.expires_at).where(jobs.c.expires_at < now())).all()
    )

    assert over == [past]


def test_an_instant_without_a_zone_is_a_bug(database: Database) -> None:
    """It is refused before it is stored."""
    with pytest.raises(StatementError, match="without a zone"):
        database.write(
            lambda c: c.execute(update(jobs).values(expires_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - the mistake
        )
