"""The one Celery task: an adapter between a message and the batch run."""

from collections.abc import Callable, Sequence

from celery import Celery

from shared.domain.jobs import ChunkRef
from shared.queue import RUN_TASK, refs_of


def register(app: Celery, runner: Callable[[], Callable[[Sequence[ChunkRef]], None]]) -> None:
    """Add the task to `app`; `runner` gives the batch run of the process that asks."""

    @app.task(name=RUN_TASK)
    def run(message: list[list[object]]) -> None:
        runner()(refs_of(message))
