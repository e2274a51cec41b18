"""Backpressure: refuses work while too many rows wait, until enough of them are done."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.domain.errors import Overloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterMarks:
    """Rows that may wait: over `high` new jobs are refused, until there are fewer than `low`."""

    high: int
    low: int


class Pressure:
    """Knows about how many rows wait, by asking the database once a second at most."""

    def __init__(self, count_rows: Callable[[], int], marks: WaterMarks) -> None:
        """Take `count_rows`, which asks the database."""
        self._count_rows = count_rows
        self._marks = marks
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._refusing = False

    def check(self) -> None:
        """Raise `Overloaded` while too many rows wait."""
        if self._lock.acquire(blocking=False):
            # One request looks; the others go by what was seen last.
            try:
                self._look()
            finally:
                self._lock.release()
        if self._refusing:
            raise Overloaded(
                f"More than {self._marks.high} rows wait. New jobs are taken again when fewer "
                f"than {self._marks.low} do."
            )

    def _look(self) -> None:
        if time.monotonic() - self._asked < 1:
            return
        self._asked = time.monotonic()
        rows = self._count_rows()
        limit = self._marks.low if self._refusing else self._marks.high
        self._refusing = rows > limit
