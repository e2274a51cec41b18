"""Admission control: refuse new jobs while too many rows are queued; estimate completion times."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shared.db.queries.listing import AGE_PREFIX
from shared.domain.errors import DatabaseDown, Overloaded
from shared.domain.jobs import JobId, Queue

RowsByAge = Mapping[Queue, Mapping[str, int]]

_FRESH: Final = 1.0
"""Seconds for which a count of queued rows is cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """Water marks: over `high` queued rows new jobs are refused, until there are `low` or fewer."""

    high: int
    low: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePosition:
    """The rows queued ahead of a job and the estimated seconds until it finishes."""

    rows: int
    seconds: float | None


class AdmissionControl:
    """Track the number of queued rows; query the database once a second at most."""

    def __init__(self, count: Callable[[], RowsByAge], marks: AdmissionLimits) -> None:
        """Use `count`, which counts queued rows by queue and by the age of their jobs."""
        self._count = count
        self._marks = marks
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._counted: RowsByAge = {queue: {} for queue in Queue}
        self._rates: dict[Queue, float] = {}
        self._refusing = False

    def check(self) -> None:
        """Raise `Overloaded` while too many rows are queued."""
        self._refresh()
        if self._refusing:
            raise Overloaded(
                f"More than {self._marks.high} rows are queued. New jobs are accepted again when "
                f"at most {self._marks.low} are."
            )

    def rows_ahead(self, job: JobId, queue: Queue, rows: int) -> QueuePosition:
        """Return the queue position of `job`, which has `rows` unprocessed rows.

        While the database is down the last count is used: an accepted job must not be refused
        because an estimate is missing.
        """
        with suppress(DatabaseDown):
            self._refresh()
        prefix = job[:AGE_PREFIX]
        ahead = sum(n for age, n in self._counted[queue].items() if age < prefix)
        rate = self._rates.get(queue)
        seconds = round((ahead + rows) / rate, 1) if rate else None
        return QueuePosition(rows=ahead, seconds=seconds)

    def queued_rows(self) -> RowsByAge:
        """Return the number of queued and running rows, by queue and by the age of their jobs."""
        self._refresh()
        return self._counted

    def _refresh(self) -> None:
        if time.monotonic() - self._counted_at < _FRESH or not self._lock.acquire(blocking=False):
            # One request counts; the others use the last count.
            return
        try:
            self._count_queued()
        finally:
            self._lock.release()

    def _count_queued(self) -> None:
        counted, moment = self._count(), time.monotonic()
        for queue in Queue:
            self._update_rate(queue, counted[queue], moment - self._counted_at)
        self._counted, self._counted_at = counted, moment
        limit = self._marks.low if self._refusing else self._marks.high
        self._refusing = sum(sum(ages.values()) for ages in counted.values()) > limit

    def _update_rate(self, queue: Queue, now: Mapping[str, int], seconds: float) -> None:
        """Update the throughput: rows of the last count that are missing now have been run."""
        before = self._counted[queue]
        newest = max(before, default="")
        done = sum(before.values()) - sum(n for age, n in now.items() if age <= newest)
        if before and done > 0:
            rate = done / seconds
            self._rates[queue] = 0.5 * self._rates.get(queue, rate) + 0.5 * rate
