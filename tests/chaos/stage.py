"""All of drybeans on real servers, behind proxies, ready to be harmed."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pymysql
import redis
from sqlalchemy import make_url

from shared.db.engine import Database, open_database
from tests.chaos.beans import MODEL_ROOT
from tests.chaos.mutants import MUTANTS
from tests.chaos.mysql_proxy import MySQLProxy
from tests.chaos.parts import Keeper, Part
from tests.chaos.proxy import Proxy
from tests.chaos.worker import FOLDER, MUTANT, NAME, SECONDS
from tests.servers import MariaDBServer, MySQLServer, RedisServer, ServerFailed, free_port
from tests.servers.schema import create_database, drop_database, migrate

_START_SECONDS: Final = 1800.0
LEASE_SECONDS: Final = 3.0
READY: Final = " ready."
"""What a worker says when it takes messages."""
PASSWORD: Final = "drybeans"

# Short times, so that a minute holds many recoveries, and small chunks, so that jobs have several.
SETTINGS: Final = {
    "DRYBEANS_LEASE_SECONDS": str(LEASE_SECONDS),
    "DRYBEANS_REPUBLISH_SECONDS": "2",
    "DRYBEANS_SWEEP_SECONDS": "0.5",
    "DRYBEANS_UPLOAD_PATIENCE_SECONDS": "5",
    "DRYBEANS_CHUNK_ROWS": "150",
    "DRYBEANS_CHUNK_BYTES": "65536",
    "DRYBEANS_INTERACTIVE_MAX_ROWS": "100",
    "DRYBEANS_API_PROCESSES": "2",
    "DRYBEANS_WORKERS": "1",
    "DRYBEANS_WEBHOOK_SECRETS": "whsec_" + "AAAA" * 12,
    "DRYBEANS_WEBHOOK_NETWORKS": "127.0.0.0/8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The running parts; `database` and `redis` go around the proxies.

    `database_url` names the user of the parts, who has no rights but on their own database.
    """

    api: Part
    workers: tuple[Part, ...]
    sweepers: tuple[Part, ...]
    keeper: Keeper
    url: str
    database_server: MariaDBServer | MySQLServer
    redis_server: RedisServer
    database_url: str
    database_proxy: MySQLProxy
    redis_proxy: Proxy
    database: Database
    redis: "redis.Redis"
    folder: Path

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return all of them."""
        return (self.api, *self.workers, *self.sweepers)


def parts_environment(
    database_url: str, redis_url: str, changes: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of the parts: nothing of ours but what is named here."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
    given = {
        "DRYBEANS_DATABASE_URL": database_url,
        "DRYBEANS_REDIS_URL": redis_url,
        "DRYBEANS_MODEL_ROOT": str(MODEL_ROOT),
    }
    return kept | SETTINGS | given | dict(changes)


def python(*words: str) -> list[str]:
    """Return the command of a Python program."""
    return [sys.executable, "-u", *words]


API_COMMAND: Final = ("-m", "gunicorn", "-c", "api/gunicorn_conf.py", "api.wsgi:app")


def connect_as_root(server: MariaDBServer | MySQLServer) -> "pymysql.Connection[Any]":
    """Connect to `server` as its administrator, who has no password in tests."""
    return pymysql.connect(host="127.0.0.1", port=server.port, user="root", autocommit=True)


def _create_user(server: MariaDBServer | MySQLServer, url: str) -> tuple[str, Callable[[], None]]:
    """Create a user with all rights on the database at `url`: return its URL and how to drop it."""
    name = f"chaos_{secrets.token_hex(4)}"
    location = make_url(url)
    connection = connect_as_root(server)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}'")
        cursor.execute(f"GRANT ALL ON {location.database}.* TO {name}@'%'")

    def drop() -> None:
        connection = connect_as_root(server)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"DROP USER {name}@'%'")

    ours = location.set(username=name, password=PASSWORD)
    return ours.render_as_string(hide_password=False), drop


@contextmanager
def a_stage(
    server: MariaDBServer | MySQLServer,
    folder: Path,
    *,
    mutant: str = "",
    workers: int = 2,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """Start everything on a new database of the running `server`, and end it afterwards."""
    with ExitStack() as stack:
        url = create_database(server.url)
        stack.callback(drop_database, url)
        migrate(url)
        stage = _build(stack, server, url, folder, (mutant, workers, changes or {}))
        for part in stage.parts:
            stack.callback(part.kill)
            part.start()
        await_ready(stage.url)
        for worker in stage.workers:
            worker.await_word(READY)
        stage.keeper.start()
        stack.callback(stage.keeper.stop)
        yield stage


def _build(
    stack: ExitStack,
    server: MariaDBServer | MySQLServer,
    url: str,
    folder: Path,
    wanted: tuple[str, int, Mapping[str, str]],
) -> Stage:
    mutant, workers, changes = wanted
    redis_server = stack.enter_context(RedisServer(folder / "redis"))
    database_proxy = stack.enter_context(MySQLProxy(server.port))
    redis_proxy = stack.enter_context(Proxy(redis_server.port))
    port = free_port()
    parts_url, drop_user = _create_user(server, url)
    stack.callback(drop_user)
    slow = str(MUTANTS[mutant].seconds if mutant else 0.06)
    environment = parts_environment(
        make_url(parts_url).set(port=database_proxy.port).render_as_string(hide_password=False),
        f"redis://127.0.0.1:{redis_proxy.port}/0",
        {"DRYBEANS_PORT": str(port), MUTANT: mutant, SECONDS: slow, FOLDER: str(folder)}
        | dict(changes),
    )
    api, stage_workers, sweepers = _build_parts(environment, folder, mutant, workers)
    database = open_database(url, connections=4)
    stack.callback(database.close)
    client = redis.Redis.from_url(redis_server.url, socket_timeout=5)
    stack.callback(client.close)
    return Stage(
        api=api,
        workers=stage_workers,
        sweepers=sweepers,
        keeper=Keeper((api, *stage_workers, *sweepers)),
        url=f"http://127.0.0.1:{port}",
        database_server=server,
        database_url=parts_url,
        redis_server=redis_server,
        database_proxy=database_proxy,
        redis_proxy=redis_proxy,
        database=database,
        redis=client,
        folder=folder,
    )


def _build_parts(
    environment: Mapping[str, str], folder: Path, mutant: str, workers: int
) -> tuple[Part, tuple[Part, ...], tuple[Part, ...]]:
    """Build the API, the workers and the sweepers, each a mutant where `mutant` says so."""
    changed = MUTANTS[mutant].parts if mutant else frozenset()
    count = MUTANTS[mutant].sweepers if mutant else 2
    app = "tests.chaos.mutant_api:app" if "api" in changed else API_COMMAND[-1]
    sweeper = "tests.chaos.mutant_sweeper" if "sweeper" in changed else "worker.sweep"

    def part(name: str, *words: str) -> Part:
        return Part(name, python(*words), {**environment, NAME: name}, folder)

    return (
        part("api", *API_COMMAND[:-1], app),
        tuple(part(f"worker{n}", "-m", "tests.chaos.worker") for n in range(workers)),
        tuple(part(f"sweeper{n}", "-m", sweeper) for n in range(count)),
    )


def await_ready(url: str, seconds: float = _START_SECONDS) -> None:
    """Wait until the API at `url` says that it is ready. Raises ServerFailed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    message = f"the API at {url} is not ready after {seconds:.0f} s"
    raise ServerFailed(message)
