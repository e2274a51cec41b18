"""Waits for jobs to change or to finish: one poller, one query, however many wait."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from shared.db.listing import Version
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import JobId

log = logging.getLogger(__name__)

ReadVersions = Callable[[Iterable[JobId]], Mapping[JobId, Version]]

# (seconds since somebody began to wait, pause between two looks in seconds)
_PAUSES: Final = ((0.25, 0.004), (2.0, 0.02), (float("inf"), 0.1))
_GONE: Final = Version(finished=True, counters=("gone", 0, 0, 0))


class _Watch:
    """One who waits for a job."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.version: Version | None = None

    def see(self, version: Version) -> None:
        if version != self.version:
            self.version = version
            self.changed.set()


class Waiter:
    """Lets any number of threads wait for jobs, at the price of one query per look."""

    def __init__(self, read: ReadVersions) -> None:
        """Take `read`, which reads the versions of jobs and leaves out those that are gone."""
        self._read = read
        self._watches: defaultdict[JobId, set[_Watch]] = defaultdict(set)
        self._youngest = 0.0
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="waiter", daemon=True)

    def start(self) -> None:
        """Start looking: after the server has forked."""
        self._thread.start()

    def wait(self, job: JobId, seconds: float) -> bool:
        """Wait up to `seconds` for `job` to finish and say whether it has."""
        until = time.monotonic() + seconds
        with self._watching(job) as watch:
            while watch.changed.wait(max(until - time.monotonic(), 0)):
                watch.changed.clear()
                if watch.version is not None and watch.version.finished:
                    return True
        return False

    def changes(self, job: JobId, quiet: float) -> Iterator[bool]:
        """Yield True at each change of `job`, and False after each `quiet` seconds without one.

        The first change is at once; the last one is that the job has finished or is gone.
        """
        with self._watching(job) as watch:
            while watch.version is None or not watch.version.finished:
                changed = watch.changed.wait(quiet)
                watch.changed.clear()
                yield changed

    @contextmanager
    def _watching(self, job: JobId) -> Iterator[_Watch]:
        watch = _Watch()
        with self._arrived:
            self._watches[job].add(watch)
            self._youngest = time.monotonic()
            self._arrived.notify()
        try:
            yield watch
        finally:
            with self._arrived:
                self._watches[job].discard(watch)
                if not self._watches[job]:
                    del self._watches[job]

    def _run(self) -> None:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: bool(self._watches))
                jobs = list(self._watches)
            begun = time.monotonic()
            self._look(jobs)
            took = time.monotonic() - begun
            age = begun - self._youngest
            pause = next(pause for limit, pause in _PAUSES if age < limit)
            # With thousands of waiters a look takes long; looking must leave room for the rest.
            time.sleep(max(pause, 2 * took))

    def _look(self, jobs: list[JobId]) -> None:
        try:
            versions = self._read(jobs)
        except DatabaseDown as error:
            log.warning("waiter_waits", extra={"reason": error.detail})
            time.sleep(0.5)
        except Exception:
            log.exception("waiter_failed")
            time.sleep(0.5)
        else:
            self._show(jobs, versions)

    def _show(self, jobs: list[JobId], versions: Mapping[JobId, Version]) -> None:
        with self._arrived:
            for job in jobs:
                for watch in self._watches.get(job, ()):
                    watch.see(versions.get(job, _GONE))
