"""What waits: how many rows are ahead of a job, how fast they go, and when it is too many."""

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
"""Seconds for which a look at the database is good enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """Rows that may wait: over `high` new jobs are refused, until there are fewer than `low`."""

    high: int
    low: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePosition:
    """Rows to be run before a job is done, its own not counted, and seconds until then."""

    rows: int
    seconds: float | None


class AdmissionControl:
    """Knows about how many rows wait, by asking the database once a second at most."""

    def __init__(self, count: Callable[[], RowsByAge], marks: AdmissionLimits) -> None:
        """Take `count`, which counts waiting rows by queue and by the age of their jobs."""
        self._count = count
        self._marks = marks
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._counted: RowsByAge = {queue: {} for queue in Queue}
        self._rates: dict[Queue, float] = {}
        self._refusing = False

    def check(self) -> None:
        """Raise `Overloaded` while too many rows wait."""
        self._refresh()
        if self._refusing:
            raise Overloaded(
                f"More than {self._marks.high} rows wait. New jobs are taken again when fewer "
                f"than {self._marks.low} do."
            )

    def rows_ahead(self, job: JobId, queue: Queue, rows: int) -> QueuePosition:
        """Return what waits before `job`, of which `rows` rows are still to be run.

        As it was seen last where the database cannot be asked: a job that has been accepted is not
        to be refused for want of an estimate.
        """
        with suppress(DatabaseDown):
            self._refresh()
        prefix = job[:AGE_PREFIX]
        waiting = sum(n for age, n in self._counted[queue].items() if age < prefix)
        rate = self._rates.get(queue)
        seconds = round((waiting + rows) / rate, 1) if rate else None
        return QueuePosition(rows=waiting, seconds=seconds)

    def queued_rows(self) -> RowsByAge:
        """Return the rows that wait or run, by queue and by the age of their jobs."""
        self._refresh()
        return self._counted

    def _refresh(self) -> None:
        if time.monotonic() - self._counted_at < _FRESH or not self._lock.acquire(blocking=False):
            # One request looks; the others go by what was seen last.
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
        """Of the rows seen last time, those missing now have been run since."""
        before = self._counted[queue]
        newest = max(before, default="")
        done = sum(before.values()) - sum(n for age, n in now.items() if age <= newest)
        if before and done > 0:
            rate = done / seconds
            self._rates[queue] = 0.5 * self._rates.get(queue, rate) + 0.5 * rate
