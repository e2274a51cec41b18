"""The database's clock, for a process whose own may be wrong."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from shared.db.engine import Database
from shared.db.queries.inspection import read_clock
from shared.domain.errors import DatabaseDown

_REFRESH_SECONDS: Final = 10.0
_MAX_DRIFT_SECONDS: Final = 1.0


class DatabaseClock:
    """Returns the database's time without a query for each call.

    Every stored time is compared with the database's clock, so it must come from there too. It is
    read every 10 s and carried on by the monotonic clock of this process. It is read at once when
    `wall` and `monotonic` disagree: the machine slept, or somebody set its clock.
    """

    def __init__(
        self,
        read: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Take `read`, which asks the database and raises `DatabaseDown`."""
        self._read = read
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._base: datetime | None = None
        self._read_at = 0.0
        self._ahead = 0.0

    def __call__(self) -> datetime:
        """Return the time by the database's clock.

        Raises `DatabaseDown` when it has never been read and the database does not answer.
        """
        with self._lock:
            if self._base is None or self._is_stale():
                self._refresh()
            assert self._base is not None  # noqa: S101 - _refresh() sets it or raises
            return self._base + timedelta(seconds=self._monotonic() - self._read_at)

    def _is_stale(self) -> bool:
        now = self._monotonic()
        drift = abs(self._wall() - now - self._ahead)
        return now - self._read_at > _REFRESH_SECONDS or drift > _MAX_DRIFT_SECONDS

    def _refresh(self) -> None:
        before = self._monotonic()
        try:
            read = self._read()
        except DatabaseDown:
            if self._base is None:
                raise
            return
        after = self._monotonic()
        self._base, self._read_at = read, (before + after) / 2
        self._ahead = self._wall() - after


def database_clock(database: Database) -> DatabaseClock:
    """Return the clock of `database`."""
    return DatabaseClock(lambda: database.read(read_clock))
