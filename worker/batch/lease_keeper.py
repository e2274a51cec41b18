"""Renews the leases of the batches that a process runs, from one thread for all of them."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.domain.errors import DatabaseDown

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Calls what renews the lease of each batch that runs, every `seconds`.

    A thread of its own for each batch would cost a small batch as much as its prediction.
    """

    def __init__(self) -> None:
        """Hold nothing yet; the thread starts with the first batch, after the fork."""
        self._renewals: dict[object, Callable[[], object]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keep_alive(self, seconds: float, renew: Callable[[], object]) -> Iterator[None]:
        """Call `renew` within every `seconds` for as long as the context lasts."""
        batch = object()
        with self._lock:
            self._renewals[batch] = renew
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(seconds,), daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._renewals[batch]

    def _run(self, seconds: float) -> None:
        while True:
            time.sleep(seconds)
            with self._lock:
                renewals = list(self._renewals.values())
            for renew in renewals:
                _renew(renew)


def _renew(renew: Callable[[], object]) -> None:
    try:
        renew()
    except DatabaseDown as error:
        log.warning("heartbeat_failed", extra={"reason": error.detail})
    except Exception:
        # The thread serves every later batch too.
        log.exception("heartbeat_failed")
