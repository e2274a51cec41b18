"""The sweep: `python -m worker.sweep` finds work that nobody is doing, every second.

Any number of sweepers may run; the database lets each row be taken by one of them.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from shared.alive import Alive
from shared.db.engine import Connection, Database, open_database
from shared.db.idempotency import forget_old_keys
from shared.db.sweeps import (
    erase_expired,
    expire_jobs,
    make_all_due,
    return_expired_leases,
    take_due,
)
from shared.domain.chunks import Dispatch, Outbox
from shared.domain.errors import DatabaseDown, DryBeansError, QueueDown
from shared.domain.jobs import Queue, RetryPolicy
from shared.logs import start_logging
from shared.queue import FULL, MessageQueue
from shared.settings import Settings, read_settings

log = logging.getLogger(__name__)

# What one pass takes at a time: a pass stays short, and the next one is a second away.
_BATCH: Final = 1000
# How long a client may repeat a request under its idempotency key.
_KEY_AGE: Final = timedelta(hours=24)
# A queue with more messages than this has work enough until the next pass.
_LOW: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One pass over everything that may have been forgotten."""

    database: Database
    queue: MessageQueue
    retry: RetryPolicy
    outbox: Outbox

    def __call__(self) -> bool:
        """Look once, and say whether there is likely to be more to publish soon.

        Raises `DatabaseDown` when there is nothing to look at.
        """
        self._return_leases()
        self._expire()
        self._erase()
        try:
            return self._republish()
        except QueueDown as error:
            log.warning("publish_failed", extra={"reason": error.detail})
            return False

    def _return_leases(self) -> None:
        recovered = self.database.write(
            lambda connection: return_expired_leases(connection, self.retry, self.outbox, _BATCH)
        )
        if recovered.returned:
            log.warning("leases_returned", extra={"chunks": len(recovered.returned)})
        if recovered.finished:
            log.error("chunks_given_up", extra={"chunks": len(recovered.finished.written)})
            self._publish(recovered.finished.released)

    def _expire(self) -> None:
        expired = self.database.write(lambda connection: expire_jobs(connection, _BATCH))
        if expired:
            log.warning("jobs_expired", extra={"jobs": len(expired)})

    def _erase(self) -> None:
        erased = self.database.write(lambda connection: erase_expired(connection, _BATCH))
        if erased:
            log.info("jobs_erased", extra={"jobs": erased})
        self.database.write(lambda connection: forget_old_keys(connection, _KEY_AGE, _BATCH))

    def _republish(self) -> bool:
        if self.queue.lost_memory():
            due = self.database.write(make_all_due)
            log.warning("redis_was_empty", extra={"chunks": due})
        refilled = [self._refill(queue) for queue in Queue]
        return any(refilled)

    def _refill(self, queue: Queue) -> bool:
        """Publish what is due while `queue` has room, and say whether there was anything.

        A queue that is not nearly empty is left alone: what is due there most likely waits in it.
        """
        if self.queue.waiting(queue) > _LOW:
            return False
        published = 0
        while due := self.database.write(partial(self._take_due, queue)):
            published += len(due)
            self.queue.publish(due)
            if self.queue.waiting(queue) >= FULL // 2:
                break
        if published:
            log.info("chunks_republished", extra={"queue": queue.value, "chunks": published})
        return published > 0

    def _take_due(self, queue: Queue, connection: Connection) -> list[Dispatch]:
        return take_due(connection, queue, _BATCH, self.outbox.republish_after)

    def _publish(self, released: Iterable[Dispatch]) -> None:
        try:
            self.queue.publish(released)
        except QueueDown as error:
            log.warning("publish_failed", extra={"reason": error.detail})


def new_sweep(settings: Settings) -> Sweep:
    """Wire a sweep from `settings`."""
    return Sweep(
        database=open_database(settings.database_url.get_secret_value(), connections=1),
        queue=MessageQueue(
            settings.redis_url.get_secret_value(), settings.message_limits, pause=0.0
        ),
        retry=RetryPolicy(max_attempts=settings.max_attempts),
        outbox=settings.outbox,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between two passes: `calm`, or `busy` while a backlog is being published."""

    calm: float
    busy: float = 0.2


def run(sweep: Callable[[], bool], stop: threading.Event, pace: Pace, alive: Alive) -> None:
    """Sweep until `stop`; a failed pass is told and tried again. Each pass shows on `alive`."""
    pause = pace.calm
    while not stop.wait(pause):
        pause = pace.calm
        alive.beat()
        try:
            pause = pace.busy if sweep() else pace.calm
        except DatabaseDown as error:
            log.warning("sweep_waits", extra={"reason": error.detail})
        except Exception:
            log.exception("sweep_failed")


def main() -> None:
    """Run the sweeper until SIGTERM or SIGINT."""
    try:
        settings = read_settings()
    except DryBeansError as error:
        raise SystemExit(f"sweep: {error.detail}") from None
    start_logging(settings.log_level, settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("sweeper_starts")
    alive = Alive(settings.heartbeat_file)
    run(new_sweep(settings), stop, Pace(calm=settings.sweep_seconds), alive)


if __name__ == "__main__":
    main()
