"""What a fault is, and what it works on."""

import random
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import redis
from sqlalchemy import ColumnElement, select

from shared.db.schema import chunks, jobs
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import TERMINAL, ChunkRef, ChunkState, JobId, Queue
from tests.chaos.clients import Client, Sent
from tests.chaos.parts import Part
from tests.chaos.stage import READY, Stage, await_ready

QUEUES: Final = [queue.value for queue in Queue]
PATIENCE_SECONDS: Final = 120.0
"""How long a fault waits for what must happen: far longer than the slowest machine needs."""
_REMEMBERED: Final = 300


class Target(StrEnum):
    """The part of the system that a fault strikes."""

    API = "API"
    WORKER = "worker"
    SWEEPER = "sweeper"
    REDIS = "Redis"
    DATABASE = "database"
    CLIENT = "client"
    CLOCK = "clock"


@dataclass(slots=True)
class Strike:
    """What faults work on: the stage, chance, a client, and messages seen earlier.

    `violations` collects what a fault itself sees go wrong, as pairs of a kind and a sentence.
    """

    stage: Stage
    chance: random.Random
    client: Client
    seen: deque[bytes] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    violations: list[tuple[str, str]] = field(default_factory=list)

    def pause(self, least: float, most: float) -> None:
        """Let some time pass."""
        time.sleep(self.chance.uniform(least, most))

    def worker(self) -> Part:
        """Pick a worker."""
        return self.chance.choice(self.stage.workers)

    def worker_in_a_batch(self) -> Part:
        """Pick a worker and wait until it is at a batch, so that the next blow lands in it."""
        worker = self.worker()
        wait_until(lambda: bool(worker.batch()), seconds=4)
        return worker

    def await_end(self, refs: set[ChunkRef]) -> None:
        """Wait until none of these chunks is open, whoever finished them."""
        open_ = chunks.c.state.in_([ChunkState.PENDING, ChunkState.RUNNING])
        wait_until(lambda: not refs & self._refs(open_), seconds=15)

    def _refs(self, which: ColumnElement[bool]) -> set[ChunkRef]:
        query = select(*chunks.c["job_id", "seq"]).where(which)
        with suppress(DatabaseDown):
            rows = self.stage.database.read(lambda c: c.execute(query).all())
            return {ChunkRef(job=JobId(row.job_id), seq=row.seq) for row in rows}
        return set()

    def note_messages(self) -> None:
        """Remember the messages that wait in Redis now."""
        with suppress(redis.RedisError):
            for queue in QUEUES:
                for message in waiting_messages(self.stage.redis, queue):
                    if message not in self.seen:
                        self.seen.append(message)

    def blame(self, kind: str, sentence: str) -> None:
        """Record a violation that only the fault can see."""
        self.violations.append((kind, sentence))

    def require_progress(self, during: str, kind: str = "row") -> None:
        """Submit a job of `kind` and wait until it ends; record a violation when it does not."""
        sent = self.submit(kind)
        if sent is None:
            self.blame("stalled", f"no job was accepted {during}")
        elif not wait_until(lambda: self.has_ended(sent), pause=0.1):
            self.blame("stalled", f"job {sent.job} did not end {during}")

    def submit(self, kind: str, params: Mapping[str, str] | None = None) -> Sent | None:
        """Submit a job of `kind` until it is accepted; return None when it never is."""
        return self.client.submit(kind, params or {}, PATIENCE_SECONDS)

    def has_ended(self, sent: Sent) -> bool:
        """Return whether the job of `sent` is in a terminal state."""
        query = select(jobs.c.state).where(jobs.c.id == sent.job)
        with suppress(DatabaseDown):
            return self.stage.database.read(lambda c: c.scalar(query)) in TERMINAL
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault: `inject` starts it on entry and stops it on exit.

    Between the two the run lets `hold` seconds pass, from least to most. `costs_attempts` says
    whether a chunk may lose an attempt through it; `requires` names a file that the machine needs.
    """

    name: str
    target: Target
    inject: Callable[[Strike], AbstractContextManager[None]]
    hold: tuple[float, float] = (0.0, 0.0)
    costs_attempts: bool = False
    requires: Callable[[], bool] = lambda: True

    def __call__(self, strike: Strike, longest: float | None = None) -> None:
        """Strike once: start, hold for at most `longest` seconds, stop."""
        least, most = self.hold
        with self.inject(strike):
            seconds = strike.chance.uniform(least, most)
            time.sleep(seconds if longest is None else min(seconds, longest))


Steps = Callable[[Strike], Iterator[None]]
Registry = dict[str, Fault]


def fault(
    registry: Registry, target: Target, name: str, **options: Any
) -> Callable[[Steps], Steps]:
    """Register the decorated generator as a fault: it starts it, yields, and stops it."""

    def register(steps: Steps) -> Steps:
        registry[name] = Fault(name=name, target=target, inject=contextmanager(steps), **options)
        return steps

    return register


def redeploy(strike: Strike, parts: Sequence[Part], changes: Mapping[str, str]) -> None:
    """End `parts` in good order and start them with `changes`, each once the one before is up."""
    for part in parts:
        starts, ready = part.starts, part.said(READY)
        part.changes = changes
        part.send_main(signal.SIGTERM)
        wait_until(lambda part=part, starts=starts: part.starts > starts, pause=0.1)  # type: ignore[misc]
        if part in strike.stage.workers:
            wait_until(lambda part=part, ready=ready: part.said(READY) > ready, pause=0.1)  # type: ignore[misc]
    await_ready(strike.stage.url)


def waiting_messages(client: "redis.Redis", queue: str) -> list[bytes]:
    """Return the messages that wait in `queue`."""
    found: Any = client.lrange(queue, 0, -1)
    return list(found)


def wait_until(
    condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS, pause: float = 0.003
) -> bool:
    """Wait until `condition` holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
