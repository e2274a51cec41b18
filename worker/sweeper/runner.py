"""The sweep: `python -m worker.sweep` finds work that nobody is doing, every second.

Any number of sweepers may run; the database lets each row be taken by one of them.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from shared.broker.client import MAX_QUEUE_LENGTH, MessageQueue
from shared.broker.heartbeats import HeartbeatStore, ProcessHeartbeat, ProcessKind
from shared.db.engine import Database, open_database
from shared.db.idempotency import delete_old_keys
from shared.db.sweeps.prune import PurgeLimits, delete_expired, purge_chunks
from shared.db.sweeps.reconcile import ScanPosition, reconcile_jobs
from shared.db.sweeps.recovery import (
    dispatch_due,
    expire_jobs,
    reschedule_all,
    rescue_expired_leases,
)
from shared.domain.chunks import Dispatch, DispatchPolicy, MessageLimits, take_fitting
from shared.domain.errors import (
    DatabaseBusy,
    DatabaseDown,
    DatabaseUnwritable,
    DryBeansError,
    QueueDown,
)
from shared.domain.jobs import Queue, RetryPolicy
from shared.observability.heartbeat_file import HeartbeatFile
from shared.observability.logs import start_logging
from shared.observability.metrics import SweepMetrics
from shared.observability.multiprocess import serve
from shared.settings import Settings, read_settings
from worker.webhooks.dispatcher import start_dispatcher

log = logging.getLogger(__name__)

# What one step takes at a time: a pass stays short, and the next one is a second away.
_BATCH: Final = 1000
# How long a client may repeat a request under its idempotency key.
_KEY_AGE: Final = timedelta(hours=24)
# A queue with more messages than this has work enough until the next pass …
_LOW: Final = 8
# … but for a few of the oldest chunks, so that a long backlog does not hide a lost message.
_TRICKLE: Final = 4
_RECOUNTED: Final = 10
# How often a pass deletes data of deleted jobs; each time is a transaction of its own.
_PURGE_STEPS: Final = 10


@dataclass(slots=True)
class Round:
    """Where a sweeper is on its rounds through the running jobs."""

    after: ScanPosition | None = None
    outage_until: float | None = None
    """Until when leases that ran out while the database was away are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """One pass over everything that may have been forgotten."""

    database: Database
    queue: MessageQueue
    limits: MessageLimits
    retry: RetryPolicy
    outbox: DispatchPolicy
    lease: timedelta = timedelta(seconds=15)
    purge_limits: PurgeLimits = field(default_factory=PurgeLimits)
    round: Round = field(default_factory=Round)
    metrics: SweepMetrics = field(default_factory=SweepMetrics)

    def __call__(self) -> bool:
        """Look once, and say whether there is likely to be more to publish soon.

        Each step is on its own: what fails in one does not keep the others from their work.
        Raises `DatabaseDown` when there is nothing to look at.
        """
        with self.metrics.pass_seconds.time():
            more = self._pass()
        self.metrics.last_pass.set_to_current_time()
        return more

    def _pass(self) -> bool:
        more = False
        # Erasing comes last: it may take long.
        for step in (
            self._return_leases,
            self._republish,
            self._expire,
            self._recount,
            self._delete_expired,
            self._purge,
        ):
            try:
                more |= step()
            except (DatabaseBusy, DatabaseUnwritable) as error:
                # What needs no new room, such as publishing, goes on.
                self._note_outage(error)
                log.warning("sweep_step_waits", extra={"reason": error.detail})
            except DatabaseDown as error:
                self._note_outage(error)
                raise
            except QueueDown as error:
                self._tell_queue_down(error)
            except Exception:
                log.exception("sweep_failed", extra={"step": step.__name__.strip("_")})
        return more

    def _note_outage(self, error: DatabaseDown) -> None:
        """Let workers renew their leases first when the database stores changes again."""
        if not isinstance(error, DatabaseBusy):
            self.round.outage_until = time.monotonic() + self.lease.total_seconds()

    def _return_leases(self) -> bool:
        counted = self.round.outage_until is None  # else nobody could renew the leases
        if time.monotonic() < (self.round.outage_until or 0):
            return False
        recovered = self.database.write(
            lambda c: rescue_expired_leases(c, self.retry, self.outbox, _BATCH, counted=counted)
        )
        self.round.outage_until = None
        if recovered.returned:
            self._count("leases_returned", len(recovered.returned))
            log.warning("leases_returned", extra={"chunks": len(recovered.returned)})
        if recovered.finished:
            self._count("chunks_given_up", len(recovered.finished.written))
            log.error("chunks_given_up", extra={"chunks": len(recovered.finished.written)})
            self._publish(recovered.finished.released)
        return False

    def _expire(self) -> bool:
        expired = self.database.write(lambda connection: expire_jobs(connection, _BATCH))
        if expired:
            self._count("jobs_expired", len(expired))
            log.warning("jobs_expired", extra={"jobs": len(expired)})
        return False

    def _recount(self) -> bool:
        """Look at the counters of a few more of the jobs that have long been running."""
        recounted = self.database.write(
            lambda connection: reconcile_jobs(connection, self.round.after, self.outbox, _RECOUNTED)
        )
        self.round.after = recounted.last
        self._count("jobs_recounted", len(recounted.repaired))
        for job in recounted.repaired:
            # Never seen: counters move with the results. It tells of a bug, or of a hand in SQL.
            log.error("job_recounted", extra={"job": job})
        self._publish(recounted.released)
        return False

    def _delete_expired(self) -> bool:
        deleted = self.database.write(lambda connection: delete_expired(connection, _BATCH))
        if deleted:
            self._count("jobs_erased", deleted)
            log.info("jobs_erased", extra={"jobs": deleted})
        self.database.write(lambda connection: delete_old_keys(connection, _KEY_AGE, _BATCH))
        return False

    def _purge(self) -> bool:
        """Delete data of deleted jobs in small transactions; what is left waits for the next pass.

        A pass stays short, whatever is deleted: its other steps come first in the next one.
        """
        for _ in range(_PURGE_STEPS):
            purged = self.database.write(lambda c: purge_chunks(c, self.purge_limits))
            if purged.chunks:
                self._count("chunks_purged", purged.chunks)
            if not (purged.chunks or purged.jobs):
                return False
        return True

    def _republish(self) -> bool:
        # What is taken to be published and is not would be due again only later.
        self.queue.check()
        if self.queue.was_emptied():
            due = 0
            while some := self.database.write(reschedule_all):
                due += some
            # Only now: a sweeper that dies before this leaves it to the next.
            self.queue.mark_epoch()
            self._count("redis_emptied", 1)
            log.warning("redis_was_empty", extra={"chunks": due})
        refilled = [self._refill(queue) for queue in Queue]
        return any(refilled)

    def _refill(self, queue: Queue) -> bool:
        """Publish what is due while `queue` has room, and say whether there was anything."""
        waiting = self.queue.queue_length(queue)
        enough = waiting > _LOW
        room = (
            min(_TRICKLE, 2 * MAX_QUEUE_LENGTH - waiting)
            if enough
            else MAX_QUEUE_LENGTH // 2 - waiting
        )
        published = 0
        while room > 0 and (due := self._take_due(queue, room)):
            published += len(due)
            sent = self.queue.publish(due)
            # Others publish too: when they took the room, what is left stays due.
            room = room - sent if sent else 0
        if published:
            self._count("chunks_republished", published)
            log.info("chunks_republished", extra={"queue": queue.value, "chunks": published})
        return published > 0 and not enough

    def _take_due(self, queue: Queue, room: int) -> list[Dispatch]:
        fits = partial(take_fitting, limits=self.limits, messages=room)
        interval = self.outbox.republish_after
        return self.database.write(lambda c: dispatch_due(c, queue, _BATCH, interval, fits))

    def _publish(self, released: Iterable[Dispatch]) -> None:
        try:
            self.queue.publish(released)
        except QueueDown as error:
            self._tell_queue_down(error)

    def _tell_queue_down(self, error: QueueDown) -> None:
        self.metrics.publish_failures.inc()
        log.warning("publish_failed", extra={"reason": error.detail})

    def _count(self, finding: str, number: int) -> None:
        self.metrics.findings.labels(finding).inc(number)


def new_sweep(settings: Settings) -> Sweeper:
    """Wire a sweep from `settings`."""
    return Sweeper(
        database=open_database(settings.database_url.get_secret_value(), connections=1),
        # Old work may enter a queue that new work keeps full.
        queue=MessageQueue(
            settings.redis_url.get_secret_value(),
            settings.message_limits,
            pause=0.0,
            full=2 * MAX_QUEUE_LENGTH,
        ),
        limits=settings.message_limits,
        retry=RetryPolicy(max_attempts=settings.max_attempts),
        outbox=settings.dispatch_policy,
        lease=settings.lease,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds between two passes: `calm`, or `busy` while a backlog is being published."""

    calm: float
    busy: float = 0.2


def run(
    sweep: Callable[[], bool], stop: threading.Event, pace: Pace, beat: Callable[[], None]
) -> None:
    """Sweep until `stop`; a failed pass is logged and tried again. Call `beat` before each pass."""
    pause = pace.calm
    while not stop.wait(pause):
        pause = pace.calm
        beat()
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
    heartbeat = ProcessHeartbeat(
        kind=ProcessKind.SWEEPER,
        store=HeartbeatStore(settings.redis_url.get_secret_value()),
        file=HeartbeatFile(settings.heartbeat_file),
    )
    sweep = new_sweep(settings)
    if settings.metrics_port is not None:
        serve(settings.host, settings.metrics_port, sweep.metrics.registry)
    courier = start_dispatcher(settings, sweep.metrics, stop)
    run(sweep, stop, Pace(calm=settings.sweep_seconds), heartbeat.beat)
    heartbeat.end()
    if courier is not None:
        courier.join()


if __name__ == "__main__":
    main()
