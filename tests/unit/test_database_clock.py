"""The database's clock as a process carries it on."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.db.clock import DatabaseClock
from shared.domain.errors import DatabaseDown

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class FakeTime:
    """A database, a wall clock that is an hour ahead of it, and a monotonic clock."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.wall_ahead = 3600.0
        self.reads = 0
        self.down = False

    def read(self) -> datetime:
        self.reads += 1
        if self.down:
            raise DatabaseDown
        return NOON + timedelta(seconds=self.passed)

    def clock(self) -> DatabaseClock:
        return DatabaseClock(
            self.read,
            monotonic=lambda: 50.0 + self.passed,
            wall=lambda: NOON.timestamp() + self.passed + self.wall_ahead,
        )


def test_the_time_is_the_databases_and_not_our_own() -> None:
    """It goes on between two queries."""
    world = FakeTime()
    clock = world.clock()
    first = clock()

    world.passed = 7.5

    assert (first, clock()) == (NOON, NOON + timedelta(seconds=7.5))
    assert world.reads == 1


def test_the_database_is_asked_again_after_a_while() -> None:
    """A clock that was set there is followed within seconds."""
    world = FakeTime()
    clock = world.clock()
    clock()

    world.passed = 11.0

    assert clock() == NOON + timedelta(seconds=11)
    assert world.reads == 2


def test_the_database_is_asked_at_once_when_our_clock_jumps() -> None:
    """The machine slept, which a monotonic clock may not have seen, or somebody set its clock."""
    world = FakeTime()
    clock = world.clock()
    clock()

    world.wall_ahead += 60

    assert clock() == NOON
    assert world.reads == 2


def test_a_database_that_is_down_leaves_the_time_that_is_known() -> None:
    """Unless there is none yet."""
    world = FakeTime()
    clock = world.clock()
    clock()
    world.down = True
    world.passed = 60.0

    assert clock() == NOON + timedelta(seconds=60)
    with pytest.raises(DatabaseDown):
        world.clock()()
