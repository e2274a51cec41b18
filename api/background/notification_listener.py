"""Receive the workers' notifications of changed jobs and pass them to the job watcher."""

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
    """Forward Redis notifications to `job_watcher`, which polls more often without Redis."""

    def __init__(
        self, listen: Callable[[], Iterator[Notification]], job_watcher: JobWatcher
    ) -> None:
        """Use `listen`, which yields notifications until Redis fails with `QueueDown`."""
        self._listen = listen
        self._job_watcher = job_watcher
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="notification-subscriber", daemon=True
        )

    def start(self) -> None:
        """Start the thread; call it after the server has forked."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; the daemon thread ends by itself within seconds."""
        self._stopped.set()

    def _run(self) -> None:
        watcher = self._job_watcher
        while not self._stopped.is_set():
            try:
                for notification in self._listen():
                    watcher.pubsub_healthy = True
                    if notification.ended:
                        watcher.notify_finished(notification.jobs)
                    else:
                        watcher.notify_changed(notification.jobs)
                    if self._stopped.is_set():
                        return
            except QueueDown as error:
                if watcher.pubsub_healthy:
                    log.warning("notifications_lost", extra={"reason": error.detail})
            except Exception:
                log.exception("notifications_failed")
            watcher.pubsub_healthy = False
            time.sleep(_RETRY_SECONDS)
