"""Waits for jobs to change or to finish: one thread looks for all who wait, however many.

A job that workers tell the end of on Redis needs no look: whoever waits for it reads it. The thread
looks soon at jobs that are told to have changed, and where nobody tells, at those that somebody has
just begun to wait for: at these alone, so that they need not wait for a look at all the others. At
those it looks in turn, since Redis may lose what it is told.
"""

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from shared.db.queries.listing import Version
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import JobId

log = logging.getLogger(__name__)

ReadVersions = Callable[[Iterable[JobId]], Mapping[JobId, Version]]

# The most jobs of one look: what a look costs does not grow with the number of those who wait.
_MAX_JOBS_PER_POLL: Final = 200
# The pause between two turns in seconds, where workers tell of changes …
_POLL_SECONDS: Final = 0.1
# … and where nobody does: (seconds since somebody began to wait, pause)
_BACKOFF: Final = ((0.25, 0.004), (2.0, 0.02), (float("inf"), 0.1))
_GONE: Final = Version(finished=True, counters=("gone", 0, 0, 0))
_ENDED: Final = Version(finished=True, counters=("ended", 0, 0, 0))
# Jobs that are remembered to have ended: some seconds of them.
_MAX_FINISHED: Final = 5_000


class _Subscription:
    """One who waits for a job."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.version: Version | None = None

    def update(self, version: Version) -> None:
        # A look that began before the end was told is late with what it saw.
        ended = self.version is not None and self.version.finished
        if not ended and version != self.version:
            self.version = version
            self.changed.set()


class JobWatcher:
    """Lets any number of threads wait for jobs, at the price of one query per look."""

    def __init__(self, read: ReadVersions) -> None:
        """Take `read`, which reads the versions of jobs and leaves out those that are gone."""
        self._read = read
        self._subscriptions: defaultdict[JobId, set[_Subscription]] = defaultdict(set)
        self._newest = 0.0
        self._fresh: dict[JobId, None] = {}
        self._rotation: deque[JobId] = deque()
        self._due = 0.0
        self._ended: dict[JobId, None] = {}
        self.pubsub_healthy = False
        """Whether workers' words are heard at present."""
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="waiter", daemon=True)

    def start(self) -> None:
        """Start looking: after the server has forked."""
        self._thread.start()

    def notify_changed(self, jobs: Iterable[JobId]) -> None:
        """Look soon at those of `jobs`, which have just changed, that somebody waits for."""
        with self._arrived:
            waited = [job for job in jobs if job in self._subscriptions]
            if waited:
                self._fresh.update(dict.fromkeys(waited))
                self._arrived.notify()

    def notify_finished(self, jobs: Sequence[JobId]) -> None:
        """Wake those who wait for one of `jobs`, which have ended, and those who will."""
        with self._arrived:
            for job in jobs:
                for watch in self._subscriptions.get(job, ()):
                    watch.update(_ENDED)
            # A word may come before its job's client has begun to wait.
            self._ended.update(dict.fromkeys(jobs))
            for job in list(islice(self._ended, max(0, len(self._ended) - _MAX_FINISHED))):
                del self._ended[job]

    def forget_end(self, job: JobId) -> None:
        """Forget that `job` was announced as ended, which the database says was not true."""
        with self._arrived:
            self._ended.pop(job, None)

    def wait(self, job: JobId, seconds: float) -> bool:
        """Wait up to `seconds` for `job` to finish and say whether it has.

        Whoever begins has just seen that it had not.
        """
        until = time.monotonic() + seconds
        with self._subscribe(job, at_once=not self.pubsub_healthy) as watch:
            while watch.changed.wait(max(until - time.monotonic(), 0)):
                watch.changed.clear()
                if watch.version is not None and watch.version.finished:
                    return True
        return False

    def changes(self, job: JobId, quiet: float) -> Iterator[bool]:
        """Yield True at each change of `job`, and False after each `quiet` seconds without one.

        The first change is at once; the last one is that the job has finished or is gone.
        """
        with self._subscribe(job, at_once=True) as watch:
            finished = False
            while not finished:
                changed = watch.changed.wait(quiet)
                watch.changed.clear()
                # Read before the caller looks: an end that comes meanwhile is a change of its own.
                finished = watch.version is not None and watch.version.finished
                yield changed

    @contextmanager
    def _subscribe(self, job: JobId, *, at_once: bool) -> Iterator[_Subscription]:
        watch = _Subscription()
        with self._arrived:
            self._subscriptions[job].add(watch)
            self._newest = time.monotonic()
            if job in self._ended:
                watch.update(_ENDED)
            elif at_once:
                self._fresh[job] = None
            self._arrived.notify()
        try:
            yield watch
        finally:
            with self._arrived:
                self._subscriptions[job].discard(watch)
                if not self._subscriptions[job]:
                    del self._subscriptions[job]

    def _run(self) -> None:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: bool(self._subscriptions))
                self._arrived.wait_for(lambda: bool(self._fresh), self._due - time.monotonic())
                jobs = self._next()
            if not jobs:
                continue
            begun = time.monotonic()
            self._poll(jobs)
            # Looking must leave room for the rest.
            time.sleep(max(0.002, time.monotonic() - begun))

    def _next(self) -> list[JobId]:
        """Choose what to look at: what is fresh, and when it is time those whose turn it is."""
        jobs = list(islice(self._fresh, _MAX_JOBS_PER_POLL))
        for job in jobs:
            del self._fresh[job]
        now = time.monotonic()
        again = now + self._pause(now - self._newest)
        if now < self._due:
            # Who has just come may want it sooner.
            self._due = min(self._due, again)
        else:
            self._due = again
            if not self._rotation:
                self._rotation.extend(self._subscriptions)
            while self._rotation and len(jobs) < _MAX_JOBS_PER_POLL:
                jobs.append(self._rotation.popleft())
        # Some may have been given up since.
        return [job for job in dict.fromkeys(jobs) if job in self._subscriptions]

    def _pause(self, age: float) -> float:
        if self.pubsub_healthy:
            return _POLL_SECONDS
        return next(pause for limit, pause in _BACKOFF if age < limit)

    def _poll(self, jobs: list[JobId]) -> None:
        try:
            versions = self._read(jobs)
        except DatabaseDown as error:
            log.warning("waiter_waits", extra={"reason": error.detail})
            time.sleep(0.5)
        except Exception:
            log.exception("waiter_failed")
            time.sleep(0.5)
        else:
            self._dispatch(jobs, versions)

    def _dispatch(self, jobs: list[JobId], versions: Mapping[JobId, Version]) -> None:
        with self._arrived:
            for job in jobs:
                for watch in self._subscriptions.get(job, ()):
                    watch.update(versions.get(job, _GONE))
