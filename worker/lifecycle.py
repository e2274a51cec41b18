"""What a pool process builds after the fork, and nothing before it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from celery import bootsteps, signals
from celery.utils.log import current_process_index
from prometheus_client.core import GaugeMetricFamily
from threadpoolctl import threadpool_limits

from shared.alive import Alive
from shared.counting import Slots
from shared.db.engine import open_database
from shared.domain.jobs import RetryPolicy
from shared.domain.manifest import Feature, Manifest
from shared.heartbeats import HeartbeatStore, ProcessHeartbeat, ProcessKind
from shared.memory import freeze_objects
from shared.metrics import WORKER_INFO, WorkerMetrics
from shared.queue import MessageQueue
from shared.settings import Settings
from shared.tracing import open_traces
from worker.models import Models
from worker.run import RunBatch
from worker.watching import BatchWatch


def message_queue(settings: Settings) -> MessageQueue:
    """Connect to the Redis that `settings` name."""
    return MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits)


def new_runner(settings: Settings) -> RunBatch:
    """Wire the batch run of one process; connections open at first use."""
    metrics = WorkerMetrics()
    metrics.process_starts.inc()
    features: dict[str, Sequence[Feature]] = {}

    def loaded(manifest: Manifest) -> None:
        features[manifest.id] = manifest.features
        metrics.model_loaded.labels(manifest.id, manifest.sha256).set(1)

    return RunBatch(
        database=open_database(settings.database_url.get_secret_value(), connections=2),
        models=Models(settings.model_root, note=loaded),
        watch=BatchWatch(
            metrics,
            lambda model: features.get(model, ()),
            open_traces(settings, "drybeans-worker"),
        ),
        queue=message_queue(settings),
        new_token=lambda: uuid4().hex,
        lease=settings.lease,
        retry=RetryPolicy(max_attempts=settings.max_attempts),
        outbox=settings.outbox,
    )


class PoolProcess:
    """The batch run of the current process: built once in each child, right after the fork.

    A connection that crosses a fork serves two masters; a model with an OpenMP pool hangs.
    """

    def __init__(self, build: Callable[[], RunBatch], slots: Slots | None = None) -> None:
        """Take `build`, which is called once per process, and where all processes count."""
        self._build = build
        self._slots = slots
        self._runner: RunBatch | None = None

    def start(self, **_: object) -> None:
        """Build the batch run and load the default models."""
        # One BLAS thread per process: the processes themselves fill the cores.
        threadpool_limits(1)
        if self._slots is not None:
            # The pool numbers its processes, and gives a number again when its process has ended.
            self._slots.take(current_process_index())
        self._runner = self._build()
        self._runner.models.warm()
        freeze_objects()

    def end(self, **_: object) -> None:
        """Hand over what the process has to tell, before it ends."""
        if self._runner is not None:
            self._runner.watch.traces.close()

    def __call__(self) -> RunBatch:
        """Give the batch run, building it when the pool did not."""
        if self._runner is None:
            self.start()
        assert self._runner is not None  # noqa: S101 - start() sets it
        return self._runner


def connect_signals(process: PoolProcess) -> None:
    """Build `process` in each child, and share the parent's memory with all of them."""
    signals.worker_process_init.connect(process.start, weak=False)
    signals.worker_process_shutdown.connect(process.end, weak=False)
    signals.worker_before_create_process.connect(lambda **_: freeze_objects(), weak=False)


def worker_heartbeat(settings: Settings) -> ProcessHeartbeat:
    """Return the heartbeat of this worker, with the queues that it takes messages from."""
    return ProcessHeartbeat(
        kind=ProcessKind.WORKER,
        store=HeartbeatStore(settings.redis_url.get_secret_value()),
        file=Alive(settings.heartbeat_file),
        details=lambda: {"queues": settings.queues},
    )


def worker_info(name: str, queues: str) -> Iterator[GaugeMetricFamily]:
    """Yield the gauge that names this worker and its queues."""
    yield WORKER_INFO.family([((name, queues), 1)])


def heartbeat_step(heartbeat: ProcessHeartbeat) -> type[bootsteps.StartStopStep]:
    """Make the step of Celery's consumer that reports while the consumer takes messages.

    It belongs to the consumer and not to the worker: a worker that is up but deaf, whose consumer
    cannot get back to Redis, reports nothing, and after a reconnect the step is started anew.
    """

    class Heartbeat(bootsteps.StartStopStep):
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:  # noqa: ANN401 - Celery has no types
            heartbeat.beat()
            parent.timer.call_repeatedly(heartbeat.interval, heartbeat.beat)

    return Heartbeat
