"""Waiting for jobs: one look at the database for all who wait."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.background.long_polling import JobWatcher
from shared.db.queries.listing import Version
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import JobId
from tests.waiting import wait_for

ONE, TWO = JobId("one"), JobId("two")


class FakeDatabase:
    """Knows which jobs have finished; counts how often it is asked, and fails when told to."""

    def __init__(self) -> None:
        self.finished: set[JobId] = set()
        self.looks: list[set[JobId]] = []
        self.error: Exception | None = None

    def __call__(self, jobs: Iterable[JobId]) -> dict[JobId, Version]:
        self.looks.append(set(jobs))
        if self.error is not None:
            raise self.error
        return {
            job: Version(finished=job in self.finished, counters=("running", 1, 0, 0))
            for job in self.looks[-1]
        }


def a_waiter(database: FakeDatabase) -> JobWatcher:
    """Start a waiter."""
    waiter = JobWatcher(database)
    waiter.start()
    return waiter


def test_a_job_that_has_finished_is_answered_at_once() -> None:
    """The first look finds it."""
    database = FakeDatabase()
    database.finished.add(ONE)

    assert a_waiter(database).wait(ONE, 5)
    assert len(database.looks) == 1


def test_a_wait_ends_soon_after_its_job() -> None:
    """Others go on waiting."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(waiter.wait, ONE, 3600), pool.submit(waiter.wait, TWO, 3600)
        wait_for(lambda: {ONE, TWO} in database.looks)
        database.finished.add(ONE)

        assert one.result(timeout=3600) is True
        assert not two.done()
        database.finished.add(TWO)
        assert two.result(timeout=3600) is True


def test_a_wait_that_is_over_says_so() -> None:
    """Nothing is left behind for the next look."""
    database = FakeDatabase()
    waiter = a_waiter(database)

    assert not waiter.wait(ONE, 0.05)
    assert not waiter.wait(TWO, 0.05)

    assert database.looks[-1] == {TWO}


def test_all_who_wait_cost_one_query() -> None:
    """Two hundred waits, some for the same job, are looked for together."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    jobs = [JobId(str(n % 100)) for n in range(200)]
    with ThreadPoolExecutor(200) as pool:
        waits = [pool.submit(waiter.wait, job, 3600) for job in jobs]
        wait_for(lambda: len(database.looks[-1]) == 100 if database.looks else False)
        database.finished.update(jobs)

        assert all(wait.result(timeout=3600) for wait in waits)


def test_nobody_waiting_means_no_queries() -> None:
    """An idle service leaves its database alone."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    waiter.wait(ONE, 0.01)
    seen = len(database.looks)

    threading.Event().wait(0.2)

    assert len(database.looks) <= seen + 1


@pytest.mark.parametrize("error", [DatabaseDown(), ZeroDivisionError()])
def test_a_database_that_fails_a_look_is_asked_again(error: Exception) -> None:
    """A wait outlives an outage that ends in time."""
    database = FakeDatabase()
    database.error = error
    waiter = a_waiter(database)
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(waiter.wait, ONE, 3600)
        wait_for(lambda: bool(database.looks))
        database.finished.add(ONE)
        database.error = None

        assert wait.result(timeout=3600) is True


def test_a_look_costs_the_same_however_many_wait() -> None:
    """No look asks for more than some hundreds of jobs, and each job has its turn."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    jobs = [JobId(str(n)) for n in range(500)]
    with ThreadPoolExecutor(500) as pool:
        waits = [pool.submit(waiter.wait, job, 3600) for job in jobs]
        wait_for(lambda: len(set().union(*database.looks)) == 500)
        database.finished.update(jobs)

        assert all(wait.result(timeout=3600) for wait in waits)
    assert max(map(len, database.looks)) <= 200


def test_a_job_that_is_told_of_is_looked_at_before_its_turn() -> None:
    """Where workers tell of changes, the waiter looks rarely at all else."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    waiter.pubsub_healthy = True
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(waiter.wait, ONE, 3600)
        wait_for(lambda: bool(database.looks))
        database.finished.add(ONE)
        waiter.notify_changed([ONE, TWO])

        assert wait.result(timeout=3600) is True
    assert all(TWO not in look for look in database.looks)


def test_an_end_that_is_told_needs_no_look() -> None:
    """Whoever waits reads the job next; a look before that would be a query for nothing."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    waiter.pubsub_healthy = True
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(waiter.wait, ONE, 3600)
        wait_for(wait.running)
        waiter.notify_finished([TWO, ONE])

        assert wait.result(timeout=3600) is True
    assert len(database.looks) <= 1


def test_an_end_that_is_told_too_soon_is_remembered() -> None:
    """A worker may be done before its job's client has begun to wait."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    waiter.pubsub_healthy = True

    waiter.notify_finished([ONE])

    assert waiter.wait(ONE, 0.0) is True
    assert list(waiter.changes(ONE, 5)) == [True]
    assert not database.looks


def test_only_so_many_ends_are_remembered() -> None:
    """What is forgotten is found by a look."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    waiter.notify_finished([ONE])

    waiter.notify_finished([JobId(str(n)) for n in range(5_000)])

    assert waiter.wait(ONE, 0.01) is False


def test_an_end_that_comes_while_its_job_is_looked_at_is_told() -> None:
    """Whoever follows a job sees it finished, however the two fall together."""
    database = FakeDatabase()
    waiter = a_waiter(database)
    changes = waiter.changes(ONE, 5)

    assert next(changes)
    database.finished.add(ONE)
    looks = len(database.looks)
    wait_for(lambda: len(database.looks) > looks + 1)

    assert list(changes) == [True]
