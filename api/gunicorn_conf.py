"""gunicorn's settings; see docs/adr/0004 for what was measured."""

from shared.early_exit import exit_on_sigterm

# The name under which gunicorn runs this file.
if __name__ == "__config__":
    exit_on_sigterm()

import os
import signal
from itertools import count
from typing import Any

from gunicorn.http.unreader import SocketUnreader

from api.http.body_timeout import PROGRESS_BYTES, TimedBody
from shared.malloc import keep_freed_memory
from shared.observability.multiprocess import ProcessSlots
from shared.settings import read_settings

_settings = read_settings()

_ports = [port for port in (_settings.port, _settings.metrics_port) if port is not None]
bind = [f"{_settings.host}:{port}" for port in _ports]
workers = _settings.api_processes
worker_class = "api.gunicorn_worker.ApiWorker"
worker_connections = 4000
# Longer than any request except a long poll, during which gevent keeps the worker responsive.
timeout = 60
graceful_timeout = 30
# Also bounds how long the headers of the next request may take.
keepalive = _settings.head_seconds
# Threads and connections do not survive a fork.
preload_app = False
accesslog = None
errorlog = "-"
loglevel = "warning"
# Bytes that are received but not yet read are copied at each read, so little is received at once.
SocketUnreader.max_body_chunk = PROGRESS_BYTES
# The socket would need a writable home directory.
control_socket_disable = True


def on_starting(server: Any) -> None:  # noqa: ANN401 - as below: gunicorn's own
    """Share metrics between several processes; a single process keeps them in memory."""
    keep_freed_memory()
    server.slots = ProcessSlots() if workers > 1 else None


def pre_fork(server: Any, worker: Any) -> None:  # noqa: ANN401
    """Set the send time-out of `worker` and assign it the first free metrics slot."""
    worker.send_timeout = _settings.send_timeout
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in count() if slot not in taken)


def post_fork(server: Any, worker: Any) -> None:  # noqa: ANN401
    """Use the metrics slot of `worker`; exit on SIGTERM until gunicorn handles it in this process.

    The handler inherited from the master only notes the signal, and this process never reads it.
    """
    exit_on_sigterm()
    while not server.SIG_QUEUE.empty():
        if server.SIG_QUEUE.get_nowait() == signal.SIGTERM:
            os._exit(0)
    if server.slots is not None:
        server.slots.take(worker.slot)


def pre_request(_worker: Any, req: Any) -> None:  # noqa: ANN401
    """Abort a body that arrives too slowly; the response closes the connection."""
    req.body = TimedBody(req.body, _settings.body_seconds, req.force_close)


def post_request(_worker: Any, req: Any, _environ: Any, _resp: Any) -> None:  # noqa: ANN401
    """Restore gunicorn's body, so that gunicorn discards what the request did not read."""
    req.body = req.body.body


def child_exit(server: Any, worker: Any) -> None:  # noqa: ANN401
    """Release the metrics slot of an exited worker."""
    if server.slots is not None:
        server.slots.leave(worker.slot)


def on_exit(server: Any) -> None:  # noqa: ANN401
    """Remove the shared metrics files."""
    if server.slots is not None:
        server.slots.close()
