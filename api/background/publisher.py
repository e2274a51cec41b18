"""Publish committed chunks to Redis in a background thread, so that no request waits for Redis."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from shared.domain.chunks import Dispatch
from shared.domain.errors import QueueDown

log = logging.getLogger(__name__)

# The queue grows this long only while Redis is down; the sweep publishes what is dropped.
_MAX_QUEUED: Final = 20_000
_CLOSE_TIMEOUT: Final = 3.0


class Publisher:
    """Publish dispatches in batches; drop them when Redis is down, for the sweep to publish."""

    def __init__(self, publish: Callable[[Sequence[Dispatch]], int]) -> None:
        """Use `publish`, which raises `QueueDown` when Redis does not accept messages."""
        self._publish = publish
        self._queued: deque[Dispatch] = deque(maxlen=_MAX_QUEUED)
        self._arrived = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start the thread; call it after the server has forked."""
        self._thread.start()

    def enqueue(self, dispatches: Sequence[Dispatch]) -> None:
        """Add `dispatches` to the queue without blocking."""
        self._queued.extend(dispatches)
        self._arrived.set()

    def close(self) -> None:
        """Publish the queue and stop; after a timeout leave the rest to the sweep."""
        self._closed = True
        self._arrived.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_TIMEOUT)

    def _run(self) -> None:
        while not (self._closed and not self._queued):
            self._arrived.wait()
            self._arrived.clear()
            self._publish_queued()

    def _publish_queued(self) -> None:
        batch = [self._queued.popleft() for _ in range(len(self._queued))]
        try:
            if batch:
                self._publish(batch)
        except QueueDown as error:
            log.warning("publish_failed", extra={"chunks": len(batch), "reason": error.detail})
        except Exception:
            log.exception("publish_failed", extra={"chunks": len(batch)})
