"""Heartbeats: API, workers and sweepers report on Redis that they run, each with its own clock."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from redis import Redis
from redis.exceptions import RedisError

from shared.broker.client import redis_failure
from shared.domain.errors import QueueDown
from shared.observability.heartbeat_file import HeartbeatFile

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 5.0
"""The interval between two heartbeats of a process."""
SILENT_SECONDS: Final = 30.0
"""A process whose last heartbeat is older counts as silent."""
REMEMBERED_SECONDS: Final = 900
"""How long the last heartbeat of a process that ended without saying so is kept."""

_TIMES: Final = "drybeans:heartbeats"
_RECORDS: Final = "drybeans:heartbeats:records"
_MAX_PROCESSES: Final = 500
_STOP_SECONDS: Final = 3.0

# One call, and one clock: ages are measured by Redis alone.
_RECORD: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])) do
  redis.call('ZREM', KEYS[1], name)
  redis.call('HDEL', KEYS[2], name)
end
"""


class ProcessKind(StrEnum):
    """The kinds of processes that report."""

    API = "api"
    WORKER = "worker"
    SWEEPER = "sweeper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last report of a process.

    `clock` and `reported_at` are the same moment, by the process's clock and by that of Redis, in
    seconds since 1970; `age` is in seconds. `details` says more, as the kind of process likes:
    readers ignore what they do not know.
    """

    name: str
    kind: ProcessKind
    clock: float
    reported_at: float
    age: float
    details: Mapping[str, Any] = field(default_factory=dict)


def process_name(kind: ProcessKind) -> str:
    """Name this process: no two of a host have the same name, in Flower, metrics and the doctor."""
    return f"{kind}-{os.getpid()}@{socket.gethostname()}"


class HeartbeatStore:
    """The heartbeats on Redis; each method raises `QueueDown` when Redis does not take or give."""

    def __init__(self, redis_url: str) -> None:
        """Connect lazily to `redis_url`."""
        self._redis = Redis.from_url(
            redis_url, socket_timeout=1.0, socket_connect_timeout=0.5, decode_responses=True
        )
        self._script = self._redis.register_script(_RECORD)

    def record(
        self, name: str, kind: ProcessKind, details: Mapping[str, Any], clock: float | None = None
    ) -> None:
        """Store a heartbeat of the process `name`, whose clock shows `clock`."""
        clock = time.time() if clock is None else clock
        document = orjson.dumps({"kind": kind, "clock": clock, **details}).decode()
        self._guard(
            lambda: self._script(keys=[_TIMES, _RECORDS], args=[name, document, REMEMBERED_SECONDS])
        )

    def remove(self, name: str) -> None:
        """Remove a process that ends in good order; one that dies is remembered for a while."""

        def run() -> None:
            with self._redis.pipeline() as pipeline:
                pipeline.zrem(_TIMES, name)
                pipeline.hdel(_RECORDS, name)
                pipeline.execute()

        self._guard(run)

    def read(self) -> list[Heartbeat]:
        """Return the last heartbeat of each process, the newest first and 500 at most."""

        def run() -> list[Any]:
            with self._redis.pipeline() as pipeline:
                pipeline.time()
                pipeline.zrange(_TIMES, 0, _MAX_PROCESSES - 1, desc=True, withscores=True)
                pipeline.hgetall(_RECORDS)
                return pipeline.execute()

        (seconds, micros), times, records = self._guard(run)
        now = seconds + micros / 1e6
        found = (_heartbeat(name, at, now, records.get(name)) for name, at in times)
        return [heartbeat for heartbeat in found if heartbeat is not None]

    def clock(self) -> float:
        """Return the time of Redis in seconds since 1970."""
        seconds, micros = self._guard(self._redis.time)
        return float(seconds + micros / 1e6)

    @staticmethod
    def _guard(call: Callable[[], Any]) -> Any:  # noqa: ANN401 - Redis is loosely typed
        try:
            return call()
        except (RedisError, OSError) as error:
            raise redis_failure(error) from error


def _heartbeat(name: str, at: float, now: float, text: str | None) -> Heartbeat | None:
    """Parse a record; return None for one that no release of ours has written."""
    try:
        document = orjson.loads(text or "")
        kind, clock = ProcessKind(document.pop("kind")), float(document.pop("clock"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Heartbeat(
        name=name, kind=kind, clock=clock, reported_at=at, age=now - at, details=document
    )


def _no_details() -> Mapping[str, Any]:
    return {}


@dataclass(slots=True, kw_only=True)
class ProcessHeartbeat:
    """Reports that this process works: in a file for probes, on Redis for the doctor and metrics.

    `details` is called for each report. Reports to Redis are at least 5 s apart; without Redis
    only the file shows that the process works.
    """

    kind: ProcessKind
    store: HeartbeatStore
    file: HeartbeatFile = field(default_factory=lambda: HeartbeatFile(None))
    details: Callable[[], Mapping[str, Any]] = _no_details
    interval: float = HEARTBEAT_SECONDS
    name: str = ""
    _next: float = float("-inf")

    def __post_init__(self) -> None:
        """Name the process."""
        self.name = self.name or process_name(self.kind)

    def beat(self, *, works: bool = True, at_once: bool = False) -> None:
        """Report once; without `works` not in the file, `at_once` however young the last report."""
        details = self.details()
        if works:
            self.file.beat(orjson.dumps(details).decode() if details else "")
        now = time.monotonic()
        if now < self._next and not at_once:
            return
        self._next = now + self.interval
        try:
            self.store.record(self.name, self.kind, details)
        except QueueDown as error:
            log.debug("heartbeat_failed", extra={"reason": error.detail})

    def end(self, **_: object) -> None:
        """Report that this process ends because it was told to."""
        try:
            self.store.remove(self.name)
        except QueueDown as error:
            log.debug("heartbeat_failed", extra={"reason": error.detail})


class HeartbeatThread:
    """Reports for a process that has no loop of its own."""

    def __init__(self, heartbeat: ProcessHeartbeat) -> None:
        """Take the `heartbeat` to report."""
        self._heartbeat = heartbeat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start to report: after the server has forked."""
        self._thread.start()

    def stop(self) -> None:
        """Report the end; give up when Redis takes too long."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._heartbeat.beat()
            self._stop.wait(self._heartbeat.interval)
        self._heartbeat.end()
