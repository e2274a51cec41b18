"""`python -m shared.db.migrate --wait` waits for a database that does not respond yet."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from shared.db.migrate import wait_for_database
from shared.domain.errors import DatabaseDown


class StartingDatabase:
    """A database that refuses the first `refusals` queries."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self._engine = create_engine("sqlite://")

    def read(self, work: Callable[[Connection], Any]) -> Any:
        """Run `work`, or refuse."""
        if self.refusals:
            self.refusals -= 1
            raise DatabaseDown("The database does not respond.")
        with self._engine.begin() as connection:
            return work(connection)


def test_a_database_that_starts_is_waited_for() -> None:
    """Until it takes the first query."""
    database = StartingDatabase(refusals=3)

    wait_for_database(database, seconds=3600, pause=0)

    assert database.refusals == 0


def test_a_database_that_does_not_start_in_time_is_an_error() -> None:
    """With the reason of the last attempt."""
    with pytest.raises(DatabaseDown, match="The database does not respond"):
        wait_for_database(StartingDatabase(refusals=10_000), seconds=0, pause=0.001)
