"""Reads due work from the database while Redis is unusable: slowly, but jobs go on."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from shared.broker.client import MessageQueue
from shared.db.sweeps.recovery import dispatch_due
from shared.domain.chunks import Dispatch, MessageLimits, pack_messages, take_fitting
from shared.domain.errors import DryBeansError, QueueDown
from shared.domain.jobs import ChunkRef, Queue
from shared.settings import Settings
from worker.batch.run import RunBatch

log = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 2.0
_BATCH: Final = 1000
_STOP_SECONDS: Final = 30.0


@dataclass(slots=True, kw_only=True)
class DatabasePolling:
    """A thread of each pool process that takes due chunks while Redis takes no messages.

    What it takes is what a sweeper would publish, at most a message at a time, and it is claimed
    and finished like any message. `abort` ends the process when a batch takes longer than
    `time_limit` seconds: Celery's own limit knows nothing of it.
    """

    queue: MessageQueue
    queues: Sequence[Queue]
    limits: MessageLimits
    interval: timedelta
    time_limit: float
    runner: Callable[[], RunBatch]
    pause: float = _CHECK_SECONDS
    abort: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _polls: bool = False

    def start(self, **_: object) -> None:
        """Start the thread: in the pool process, after the fork."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-polling", daemon=True)
        self._thread.start()

    def end(self, **_: object) -> None:
        """Stop taking work, and let the batch that runs finish."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(self.pause):
            try:
                self.poll()
            except DryBeansError as error:
                log.warning("database_polling_waits", extra={"reason": error.detail})
            except Exception:
                log.exception("database_polling_failed")

    def poll(self) -> int:
        """Run what is due until Redis is usable again, and count the chunks."""
        count = 0
        while not self._stop.is_set() and not self._redis_is_usable():
            due = self._take()
            if not due:
                break
            for _, refs in pack_messages(due, self.limits):
                self._run_batch(refs)
            count += len(due)
        return count

    def _redis_is_usable(self) -> bool:
        try:
            self.queue.check()
        except QueueDown as error:
            if not self._polls:
                log.warning("database_polling_starts", extra={"reason": error.detail})
            self._polls = True
            return False
        if self._polls:
            log.info("database_polling_ends")
        self._polls = False
        return True

    def _take(self) -> list[Dispatch]:
        """Take what fits one message, of the first queue in which anything is due."""
        fits = partial(take_fitting, limits=self.limits, messages=1)
        for queue in self.queues:
            work = partial(
                dispatch_due, queue=queue, limit=_BATCH, interval=self.interval, fitting=fits
            )
            if due := self.runner().database.write(work):
                return due
        return []

    def _run_batch(self, refs: Sequence[ChunkRef]) -> None:
        limit = threading.Timer(self.time_limit, self.abort)
        limit.daemon = True
        limit.start()
        try:
            self.runner()(refs)
        finally:
            limit.cancel()


def new_database_polling(settings: Settings, runner: Callable[[], RunBatch]) -> DatabasePolling:
    """Wire the polling of one worker; connections open at first use."""
    names = [name.strip() for name in settings.queues.split(",")]
    return DatabasePolling(
        queue=MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits),
        queues=[queue for queue in Queue if queue.value in names],
        limits=settings.message_limits,
        interval=settings.dispatch_policy.republish_after,
        time_limit=settings.task_seconds,
        runner=runner,
    )
