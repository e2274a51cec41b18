"""The one Celery task: an adapter between a message and the batch run."""

from collections.abc import Callable
from typing import Any

from celery import Celery

from shared.broker.celery_message import RUN_TASK, refs_of, trace_contexts_of
from shared.observability.logs import bind
from worker.batch.run import RunBatch


def register(app: Celery, runner: Callable[[], RunBatch]) -> None:
    """Add the task to `app`; `runner` gives the batch run of the process that asks."""

    @app.task(name=RUN_TASK, bind=True)
    def run(self: Any, message: list[list[object]]) -> None:  # noqa: ANN401 - Celery's own
        bind(message=self.request.id)
        refs = refs_of(message)
        runner()(refs, trace_contexts_of(refs, self.request.headers))
