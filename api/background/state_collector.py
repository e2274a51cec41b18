"""Prometheus collector for the state of queues, workers, models, database and Redis."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from api.background.admission import RowsByAge
from shared.broker.heartbeats import Heartbeat, ProcessKind
from shared.db.webhooks import Due
from shared.domain.errors import DryBeansError
from shared.domain.jobs import Queue
from shared.models.registry import ModelRegistry
from shared.observability import metrics

_FRESH: Final = 1.0
# Ages keep the first 40 of the 48 bits that hold the milliseconds of a UUIDv7.
_DROPPED_BITS: Final = 8


@dataclass(slots=True, kw_only=True)
class StateCollector:
    """Collect gauges from the database and Redis, once a second at most.

    A component that does not respond is reported as down; gauges that depend on it are omitted.
    """

    ping_database: Callable[[], None]
    ping_redis: Callable[[], None]
    backlog: Callable[[], RowsByAge]
    running: Callable[[], Mapping[Queue, int]]
    webhooks: Callable[[], Due]
    messages: Callable[[Queue], int]
    heartbeats: Callable[[], Sequence[Heartbeat]]
    catalog: Callable[[], ModelRegistry]
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _collected_at: float = float("-inf")
    _families: Sequence[GaugeMetricFamily] = ()

    def __call__(self) -> Sequence[GaugeMetricFamily]:
        """Return all gauges with their current values."""
        with self._lock:
            if time.monotonic() - self._collected_at > _FRESH:
                self._families = [*self._database(), *self._redis(), self._models()]
                self._collected_at = time.monotonic()
            return self._families

    def _database(self) -> Iterator[GaugeMetricFamily]:
        try:
            self.ping_database()
            counted, running, due = self.backlog(), self.running(), self.webhooks()
        except DryBeansError:
            yield metrics.DATABASE_UP.family([((), 0)])
            return
        yield metrics.DATABASE_UP.family([((), 1)])
        yield metrics.QUEUE_ROWS.family(
            sample for queue in Queue for sample in _rows(queue, counted, running)
        )
        yield metrics.QUEUE_AGE.family(((queue,), self._age(counted[queue])) for queue in Queue)
        yield metrics.WEBHOOKS_DUE.family([((), due.count)])
        late = max(0.0, (self.now() - due.since).total_seconds()) if due.since else 0.0
        yield metrics.WEBHOOKS_LATE.family([((), late)])

    def _age(self, ages: Mapping[str, int]) -> float:
        """Return the age in seconds of the oldest job; the keys of `ages` are prefixes of ids."""
        if not ages:
            return 0.0
        created = (int(min(ages).replace("-", ""), 16) << _DROPPED_BITS) / 1000
        return max(0.0, self.now().timestamp() - created)

    def _redis(self) -> Iterator[GaugeMetricFamily]:
        try:
            self.ping_redis()
            messages = {queue: self.messages(queue) for queue in Queue}
            heartbeats = self.heartbeats()
        except DryBeansError:
            yield metrics.REDIS_UP.family([((), 0)])
            return
        yield metrics.REDIS_UP.family([((), 1)])
        yield metrics.QUEUE_MESSAGES.family(((queue,), n) for queue, n in messages.items())
        yield metrics.WORKER_BEAT.family(
            ((one.name, str(one.details.get("queues", ""))), one.reported_at)
            for one in heartbeats
            if one.kind is ProcessKind.WORKER and one.details.get("running", 1)
        )

    def _models(self) -> GaugeMetricFamily:
        catalog = self.catalog()
        return metrics.MODEL_INFO.family(
            ((model.id, model.sha256, _default(catalog, model.name, model.version)), 1)
            for model in catalog.all()
        )


def _rows(
    queue: Queue, counted: RowsByAge, running: Mapping[Queue, int]
) -> Iterator[tuple[tuple[str, str], float]]:
    # The two counts are read at different times, so the difference may be slightly off.
    pending = max(0, sum(counted[queue].values()) - running[queue])
    yield (queue, "pending"), pending
    yield (queue, "running"), running[queue]


def _default(catalog: ModelRegistry, name: str, version: int) -> str:
    return str(catalog.default_version(name) == version).lower()
