"""Waits for jobs to finish: one poller for all waiters of the process, one query for all jobs."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from shared.domain.errors import DatabaseDown
from shared.domain.jobs import JobId

log = logging.getLogger(__name__)

Finished = Callable[[Iterable[JobId]], set[JobId]]

# (age of the youngest wait in seconds, pause between two looks in seconds)
_PAUSES: Final = ((0.25, 0.004), (2.0, 0.02), (float("inf"), 0.1))


class Waiter:
    """Lets any number of threads wait for jobs, at the price of one query per look."""

    def __init__(self, finished: Finished) -> None:
        """Take `finished`, which gives those of some jobs that have finished."""
        self._finished = finished
        self._waits: defaultdict[JobId, set[threading.Event]] = defaultdict(set)
        self._youngest = 0.0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="waiter", daemon=True)

    def start(self) -> None:
        """Start looking: after the server has forked."""
        self._thread.start()

    def wait(self, job: JobId, seconds: float) -> bool:
        """Wait up to `seconds` for `job` to finish and say whether it has."""
        done = threading.Event()
        with self._changed:
            self._waits[job].add(done)
            self._youngest = time.monotonic()
            self._changed.notify()
        try:
            return done.wait(seconds)
        finally:
            self._leave(job, done)

    def _leave(self, job: JobId, done: threading.Event) -> None:
        with self._changed:
            self._waits[job].discard(done)
            if not self._waits[job]:
                del self._waits[job]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waits))
                jobs = list(self._waits)
            self._look(jobs)
            age = time.monotonic() - self._youngest
            time.sleep(next(pause for limit, pause in _PAUSES if age < limit))

    def _look(self, jobs: list[JobId]) -> None:
        try:
            finished = self._finished(jobs)
        except DatabaseDown as error:
            log.warning("waiter_waits", extra={"reason": error.detail})
            time.sleep(0.5)
            return
        except Exception:
            log.exception("waiter_failed")
            time.sleep(0.5)
            return
        with self._changed:
            for job in finished:
                for done in self._waits.get(job, ()):
                    done.set()
