"""What a pool process builds after the fork, and nothing before it."""

import gc
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from celery import bootsteps, signals
from threadpoolctl import threadpool_limits

from shared.alive import Alive
from shared.db.engine import open_database
from shared.domain.jobs import RetryPolicy
from shared.queue import MessageQueue
from shared.settings import Settings
from worker.models import Models
from worker.run import RunBatch

_BEAT_SECONDS: Final = 5.0


def message_queue(settings: Settings) -> MessageQueue:
    """Connect to the Redis that `settings` name."""
    return MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits)


def new_runner(settings: Settings) -> RunBatch:
    """Wire the batch run of one process; connections open at first use."""
    return RunBatch(
        database=open_database(settings.database_url.get_secret_value(), connections=2),
        models=Models(settings.model_root),
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

    def __init__(self, build: Callable[[], RunBatch]) -> None:
        """Take `build`, which is called once per process."""
        self._build = build
        self._runner: RunBatch | None = None

    def start(self, **_: object) -> None:
        """Build the batch run and load the default models."""
        # One BLAS thread per process: the processes themselves fill the cores.
        threadpool_limits(1)
        self._runner = self._build()
        self._runner.models.warm()

    def __call__(self) -> RunBatch:
        """Give the batch run, building it when the pool did not."""
        if self._runner is None:
            self.start()
        assert self._runner is not None  # noqa: S101 - start() sets it
        return self._runner


def connect_signals(process: PoolProcess) -> None:
    """Build `process` in each child, and share the parent's memory with all of them."""
    signals.worker_process_init.connect(process.start, weak=False)
    signals.worker_before_create_process.connect(_freeze, weak=False)


def heartbeat_step(alive: Alive) -> type[bootsteps.StartStopStep]:
    """Make the step of Celery's consumer that beats while the consumer takes messages.

    It belongs to the consumer and not to the worker: a worker that is up but deaf, whose consumer
    cannot get back to Redis, stops beating, and after a reconnect the step is started anew.
    """

    class Heartbeat(bootsteps.StartStopStep):
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:  # noqa: ANN401 - Celery has no types
            alive.beat()
            parent.timer.call_repeatedly(_BEAT_SECONDS, alive.beat)

    return Heartbeat


def _freeze(**_: object) -> None:
    # Objects the collector never touches stay on pages that parent and children share.
    gc.collect()
    gc.freeze()
