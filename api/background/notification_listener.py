"""Hears from workers which jobs have changed, and hands it to those who wait."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from api.background.long_polling import JobWatcher
from shared.broker.notifications import Notification
from shared.domain.errors import QueueDown

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0


class NotificationSubscriber:
    """Keeps `waiter` informed for as long as Redis answers; without it the waiter looks more."""

    def __init__(self, listen: Callable[[], Iterator[Notification]], waiter: JobWatcher) -> None:
        """Take `listen`, which gives what workers tell until Redis is gone."""
        self._listen = listen
        self._waiter = waiter
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)

    def start(self) -> None:
        """Begin to listen: after the server has forked."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; the thread ends within seconds, and nobody needs to wait for that."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                for hint in self._listen():
                    self._waiter.pubsub_healthy = True
                    hear = (
                        self._waiter.notify_finished if hint.ended else self._waiter.notify_changed
                    )
                    hear(hint.jobs)
                    if self._stopped.is_set():
                        return
            except QueueDown as error:
                if self._waiter.pubsub_healthy:
                    log.warning("news_stopped", extra={"reason": error.detail})
            except Exception:
                log.exception("news_failed")
            self._waiter.pubsub_healthy = False
            time.sleep(_RETRY_SECONDS)
