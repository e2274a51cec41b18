"""Long polling: one thread polls the versions of all watched jobs, however many clients wait.

A notification that a job has finished wakes its clients without a poll. Jobs that were reported as
changed are polled soon; without notifications so are jobs that a client has just started to watch,
apart from the others so that they need not wait for a full round. All other watched jobs are polled
in turn, because Redis may lose notifications.
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

# Bounds the cost of a poll, however many jobs are watched.
_MAX_JOBS_PER_POLL: Final = 200
# Seconds between two rounds while notifications arrive …
_POLL_SECONDS: Final = 0.1
# … and while they do not: (seconds since the last client began to wait, pause)
_BACKOFF: Final = ((0.25, 0.004), (2.0, 0.02), (float("inf"), 0.1))
_GONE: Final = Version(finished=True, counters=("gone", 0, 0, 0))
_ENDED: Final = Version(finished=True, counters=("ended", 0, 0, 0))
# Finished jobs to remember: those of the last few seconds.
_MAX_FINISHED: Final = 5_000


class _Subscription:
    """A client that waits for a job."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.version: Version | None = None

    def update(self, version: Version) -> None:
        # A poll that began before the end was notified brings an outdated version.
        ended = self.version is not None and self.version.finished
        if not ended and version != self.version:
            self.version = version
            self.changed.set()


class JobWatcher:
    """Wake threads that wait for jobs; one query polls many jobs."""

    def __init__(self, read: ReadVersions) -> None:
        """Use `read`, which returns the versions of jobs and omits jobs that are gone."""
        self._read = read
        self._subscriptions: defaultdict[JobId, set[_Subscription]] = defaultdict(set)
        self._newest = 0.0
        self._fresh: dict[JobId, None] = {}
        self._rotation: deque[JobId] = deque()
        self._due = 0.0
        self._ended: dict[JobId, None] = {}
        self.pubsub_healthy = False
        """Whether notifications from workers are being received."""
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="job-watcher", daemon=True)

    def start(self) -> None:
        """Start the thread; call it after the server has forked."""
        self._thread.start()

    def notify_changed(self, jobs: Iterable[JobId]) -> None:
        """Poll soon those of `jobs`, which have just changed, that a client waits for."""
        with self._arrived:
            watched = [job for job in jobs if job in self._subscriptions]
            if watched:
                self._fresh.update(dict.fromkeys(watched))
                self._arrived.notify()

    def notify_finished(self, jobs: Sequence[JobId]) -> None:
        """Wake the present and later subscribers of `jobs`, which have finished."""
        with self._arrived:
            for job in jobs:
                for watch in self._subscriptions.get(job, ()):
                    watch.update(_ENDED)
            # A notification may arrive before the client of its job begins to wait.
            self._ended.update(dict.fromkeys(jobs))
            for job in list(islice(self._ended, max(0, len(self._ended) - _MAX_FINISHED))):
                del self._ended[job]

    def forget_end(self, job: JobId) -> None:
        """Forget a notification that `job` has ended, which the database did not confirm."""
        with self._arrived:
            self._ended.pop(job, None)

    def wait(self, job: JobId, seconds: float) -> bool:
        """Wait up to `seconds` for `job` to finish; return whether it has.

        The caller must just have read that it had not.
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

        The first change is yielded at once, the last one when the job has finished or is gone.
        """
        with self._subscribe(job, at_once=True) as watch:
            finished = False
            while not finished:
                changed = watch.changed.wait(quiet)
                watch.changed.clear()
                # Before the caller reads the job: an end in between is a change of its own.
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
            started = time.monotonic()
            self._poll(jobs)
            # Spend at most half of the time polling.
            time.sleep(max(0.002, time.monotonic() - started))

    def _next(self) -> list[JobId]:
        """Return the jobs to poll: the fresh ones and, when a round is due, the next in turn."""
        jobs = list(islice(self._fresh, _MAX_JOBS_PER_POLL))
        for job in jobs:
            del self._fresh[job]
        now = time.monotonic()
        again = now + self._pause(now - self._newest)
        if now < self._due:
            # A new client may need the round sooner.
            self._due = min(self._due, again)
        else:
            self._due = again
            if not self._rotation:
                self._rotation.extend(self._subscriptions)
            while self._rotation and len(jobs) < _MAX_JOBS_PER_POLL:
                jobs.append(self._rotation.popleft())
        # Clients of some may have stopped waiting since.
        return [job for job in dict.fromkeys(jobs) if job in self._subscriptions]

    def _pause(self, age: float) -> float:
        if self.pubsub_healthy:
            return _POLL_SECONDS
        return next(pause for limit, pause in _BACKOFF if age < limit)

    def _poll(self, jobs: list[JobId]) -> None:
        try:
            versions = self._read(jobs)
        except DatabaseDown as error:
            log.warning("job_watcher_waits", extra={"reason": error.detail})
            time.sleep(0.5)
        except Exception:
            log.exception("job_watcher_failed")
            time.sleep(0.5)
        else:
            self._dispatch(jobs, versions)

    def _dispatch(self, jobs: list[JobId], versions: Mapping[JobId, Version]) -> None:
        with self._arrived:
            for job in jobs:
                for watch in self._subscriptions.get(job, ()):
                    watch.update(versions.get(job, _GONE))
