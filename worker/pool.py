"""What a pool process builds after the fork, and nothing before it."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from celery import bootsteps, signals
from celery.utils.log import current_process_index
from prometheus_client.core import GaugeMetricFamily
from threadpoolctl import threadpool_limits

from shared.broker.client import MessageQueue
from shared.broker.heartbeats import HeartbeatStore, ProcessHeartbeat, ProcessKind
from shared.db.engine import open_database
from shared.domain.jobs import RetryPolicy
from shared.malloc import freeze_objects
from shared.models.manifest import Feature, Manifest
from shared.observability.heartbeat_file import HeartbeatFile
from shared.observability.metrics import WORKER_INFO, WorkerMetrics
from shared.observability.multiprocess import ProcessSlots
from shared.observability.tracing import open_traces
from shared.observability.worker_status import WorkerStatus, merge
from shared.settings import Settings
from worker.batch.instrumentation import BatchInstrumentation
from worker.batch.run import RunBatch
from worker.models.inventory import ModelInventory
from worker.models.loader import Loading, ModelLoader
from worker.status_folder import StatusFolder

log = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 1.0
_RANDOM_DIGITS: Final = 12
_MAX_WORKER_NAME: Final = 64 - 1 - _RANDOM_DIGITS


def message_queue(settings: Settings) -> MessageQueue:
    """Connect to the Redis that `settings` name."""
    return MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits)


def claim_token(worker: str) -> str:
    """Return a token for the claim of one batch: the name of `worker` and some random digits.

    It is stored in `claimed_by`, which holds 64 characters.
    """
    return f"{worker[:_MAX_WORKER_NAME]}/{uuid4().hex[:_RANDOM_DIGITS]}"


def new_runner(settings: Settings, worker: str) -> RunBatch:
    """Wire the batch run of one process of `worker`; connections open at first use."""
    metrics = WorkerMetrics()
    metrics.process_starts.inc()
    features: dict[str, Sequence[Feature]] = {}

    def loaded(manifest: Manifest) -> None:
        features[manifest.id] = manifest.features
        metrics.model_loaded.labels(manifest.id, manifest.sha256).set(1)

    return RunBatch(
        database=open_database(settings.database_url.get_secret_value(), connections=2),
        # A batch may wait twice for a model: for the first one of its process, and for its own.
        models=ModelLoader(settings.model_root, note=loaded, patience=settings.task_seconds / 5),
        watch=BatchInstrumentation(
            metrics,
            lambda model: features.get(model, ()),
            open_traces(settings, "drybeans-worker"),
        ),
        queue=message_queue(settings),
        new_token=lambda: claim_token(worker),
        lease=settings.lease,
        patience=timedelta(seconds=settings.task_seconds * 2 / 5),
        retry=RetryPolicy(max_attempts=settings.max_attempts),
        outbox=settings.dispatch_policy,
    )


class PoolProcess:
    """The batch run of the current process: built once in each child, right after the fork.

    A connection that crosses a fork serves two masters; a model with an OpenMP pool hangs. No
    model is loaded before the process takes messages: Celery kills a process that is not up in
    time, and how long models take to load is not known.
    """

    def __init__(
        self,
        build: Callable[[], RunBatch],
        default_model: str,
        statuses: StatusFolder,
        slots: ProcessSlots | None = None,
    ) -> None:
        """Take `build`, which is called once per process, and where all processes report."""
        self._build = build
        self._default_model = default_model
        self._statuses = statuses
        self._slots = slots
        self._runner: RunBatch | None = None
        self._warm: Loading | None = None

    def start(self, **_: object) -> None:
        """Build the batch run and start loading the default model."""
        # One BLAS thread per process: the processes themselves fill the cores.
        threadpool_limits(1)
        if self._slots is not None:
            # The pool numbers its processes, and gives a number again when its process has ended.
            self._slots.take(current_process_index())
        self._runner = self._build()
        inventory = ModelInventory(self._runner.models)
        self._warm = inventory.warm(self._default_model)
        threading.Thread(
            target=self._report, args=(inventory, self._runner), name="inventory", daemon=True
        ).start()

    def _report(self, inventory: ModelInventory, runner: RunBatch) -> None:
        """Keep the status of this process current for as long as it lives."""
        self._await_warm(runner)
        freeze_objects()
        last = None
        while True:
            try:
                available, refused = inventory.read()
                status = WorkerStatus(processes=1, running=1, available=available, refused=refused)
                if status != last:
                    self._statuses.write(status)
                    last = status
            except Exception:
                # Reporting must not end: the status would stay what it was.
                log.exception("inventory_failed")
            time.sleep(_CHECK_SECONDS)

    def _await_warm(self, runner: RunBatch) -> None:
        warm = self._warm
        if warm is not None:
            warm.done.wait(runner.models.patience)
            self._warm = None

    def end(self, **_: object) -> None:
        """Hand over what the process has to tell, before it ends."""
        if self._runner is not None:
            self._runner.watch.traces.close()

    def __call__(self) -> RunBatch:
        """Return the batch run, building it when the pool did not.

        The first batch waits for the default model: a process that dies of loading it (for want of
        memory) then holds no claim of any job.
        """
        if self._runner is None:
            self.start()
        assert self._runner is not None  # noqa: S101 - start() sets it
        self._await_warm(self._runner)
        return self._runner


def connect_signals(process: PoolProcess) -> None:
    """Build `process` in each child, and share the parent's memory with all of them."""
    signals.worker_process_init.connect(process.start, weak=False)
    signals.worker_process_shutdown.connect(process.end, weak=False)
    signals.worker_before_create_process.connect(lambda **_: freeze_objects(), weak=False)


class WorkerHeartbeat:
    """Reports the processes of the pool: every few seconds, and when they change.

    The file for probes is written only while a process of the pool can take a batch: a main
    process that takes messages which nobody runs does no work.
    """

    def __init__(self, settings: Settings, statuses: StatusFolder) -> None:
        """Report for a worker of `settings` whose pool processes report in `statuses`."""
        self._statuses = statuses
        self._processes = settings.workers
        self._status = WorkerStatus(processes=settings.workers, running=0)
        self._next = float("-inf")
        self._heartbeat = ProcessHeartbeat(
            kind=ProcessKind.WORKER,
            store=HeartbeatStore(settings.redis_url.get_secret_value()),
            file=HeartbeatFile(settings.heartbeat_file),
            details=lambda: {"queues": settings.queues, **self._status.details()},
        )
        self.name = self._heartbeat.name

    def beat(self, pids: Collection[int]) -> None:
        """Report the state of the pool, whose processes are `pids`."""
        status = merge(self._processes, self._statuses.read(pids))
        changed = status != self._status
        if not changed and time.monotonic() < self._next:
            return
        self._status, self._next = status, time.monotonic() + self._heartbeat.interval
        self._heartbeat.beat(works=bool(status.running), at_once=changed)

    def end(self, **_: object) -> None:
        """Report that this worker ends because it was told to."""
        self._heartbeat.end()
        self._statuses.close()


def worker_info(name: str, queues: str) -> Iterator[GaugeMetricFamily]:
    """Yield the gauge that names this worker and its queues."""
    yield WORKER_INFO.family([((name, queues), 1)])


def heartbeat_step(heartbeat: WorkerHeartbeat) -> type[bootsteps.StartStopStep]:
    """Make the step of Celery's consumer that reports while the consumer takes messages.

    It belongs to the consumer and not to the worker: a worker that is up but deaf, whose consumer
    cannot get back to Redis, reports nothing, and after a reconnect the step is started anew.
    """

    class Heartbeat(bootsteps.StartStopStep):
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:  # noqa: ANN401 - Celery has no types
            def beat() -> None:
                heartbeat.beat(parent.pool.info["processes"])

            beat()
            parent.timer.call_repeatedly(_CHECK_SECONDS, beat)

    return Heartbeat
