"""The worker: `python -m worker.main` starts Celery with its pool of processes."""

from shared.early_exit import exit_on_sigterm

if __name__ == "__main__":
    exit_on_sigterm()

import atexit
import logging
from typing import Any

from celery import Celery, signals

from shared.domain.jobs import Queue
from shared.malloc import keep_freed_memory
from shared.observability.logs import start_logging
from shared.observability.metrics import ScrapeCollector
from shared.observability.multiprocess import ProcessSlots, serve
from shared.observability.tracing import prepare_traces
from shared.settings import read_settings
from worker.database_polling import new_database_polling
from worker.pool import (
    PoolProcess,
    WorkerHeartbeat,
    connect_signals,
    heartbeat_step,
    new_runner,
    worker_info,
)
from worker.status_folder import StatusFolder
from worker.tasks import register

settings = read_settings()

# A reason for each stands in docs/adr/0003.
_OPTIONS = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_backend": None,
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "task_default_queue": Queue.INTERACTIVE.value,
    "task_create_missing_queues": True,
    "enable_utc": True,
    # Acknowledged before the run: the lease in the database recovers what a crash loses, and a
    # late acknowledgement would only add duplicates.
    "task_acks_late": False,
    "worker_prefetch_multiplier": 1,
    # A message that is handed to a process as it ends waits for the next one to start.
    "worker_max_tasks_per_child": 100_000,
    "task_soft_time_limit": None,
    # A batch is cut to take seconds; a process that takes this long hangs.
    "task_time_limit": settings.task_seconds,
    # A process is up before it loads any model; on a busy machine even that may take a while.
    "worker_proc_alive_timeout": settings.task_seconds,
    # Flower turns them on in workers while it looks; they are three messages for each task.
    "worker_send_task_events": False,
    "task_send_sent_event": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # Redis that is full, read-only or cannot write its disk is waited for like one that is away.
    "broker_channel_error_retry": True,
    "broker_transport": "worker.redis_transport:Transport",
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "broker_transport_options": {
        # What a worker has taken and not begun goes back when it ends, and is swept when it dies:
        # Redis need not keep it too.
        "ack_emulation": False,
        "priority_steps": [0],
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
}

app = Celery("drybeans", broker=settings.redis_url.get_secret_value(), set_as_current=False)
app.conf.update(_OPTIONS)
_slots = None if settings.metrics_port is None else ProcessSlots()
_statuses = StatusFolder()
_heartbeat = WorkerHeartbeat(settings, _statuses)
_process = PoolProcess(
    lambda: new_runner(settings, _heartbeat.name), settings.default_model, _statuses, _slots
)
register(app, _process)
connect_signals(_process)
_polling = new_database_polling(settings, _process)
signals.worker_process_init.connect(_polling.start, weak=False)
signals.worker_process_shutdown.connect(_polling.end, weak=False)
signals.worker_shutdown.connect(_heartbeat.end, weak=False)
app.steps["consumer"].add(heartbeat_step(_heartbeat))


@signals.setup_logging.connect(weak=False)
def _logging(**_: object) -> None:
    start_logging(settings.log_level, settings.log_format)


def main() -> None:
    """Run the worker until it is told to stop; any other end is an error for who started it."""
    _logging()
    keep_freed_memory()
    prepare_traces(settings)
    logging.getLogger(__name__).info("worker_starts", extra={"processes": settings.workers})
    if _slots is not None and settings.metrics_port is not None:
        # This process serves and its children count.
        atexit.register(_slots.close)
        looked = ScrapeCollector(lambda: worker_info(_heartbeat.name, settings.queues))
        serve(settings.host, settings.metrics_port, _slots.counted(), looked)
    ended: list[Any] = []
    signals.celeryd_after_setup.connect(lambda instance, **_: ended.append(instance), weak=False)
    app.worker_main(
        [
            # Its banner is no log line.
            "--quiet",
            "worker",
            f"--hostname={_heartbeat.name}",
            "--pool=prefork",
            f"--concurrency={settings.workers}",
            f"--queues={settings.queues}",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={settings.log_level}",
        ]
    )
    # Celery keeps the code to itself, and sets none where nobody told it to stop.
    code = ended[0].exitcode if ended else None
    raise SystemExit(1 if code is None else code)


if __name__ == "__main__":
    main()
