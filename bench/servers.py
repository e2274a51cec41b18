"""The servers that both designs share in a run: a database of each kind, and a Redis."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from tests.servers import MySQLServer, RedisServer
from tests.servers.schema import create_database, drop_database


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one run happens: `kind` is sqlite or mysql, `server` the URL of a MySQL server."""

    kind: str
    folder: Path
    redis: RedisServer
    server: str | None

    @property
    def database_port(self) -> int | None:
        """The port of the database server, None for SQLite."""
        return make_url(self.server).port if self.server else None

    def redis_url(self, number: int) -> str:
        """Return the URL of one of Redis' databases."""
        return f"redis://127.0.0.1:{self.redis.port}/{number}"

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Return the URL of an empty database, which is removed afterwards."""
        if self.server is None:
            yield f"sqlite:///{self.folder / name}.db"
            return
        url = create_database(self.server)
        try:
            yield url
        finally:
            drop_database(url)


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """Start the servers of a run, in a folder that is removed afterwards.

    MySQL is the server at DRYBEANS_BENCH_DATABASE_URL, whose user may create databases, or what
    the tool in DRYBEANS_TEST_MYSQL_TOOL starts.
    """
    # So that being told to stop stops the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="drybeans-bench-") as name:
        folder = Path(name)
        with RedisServer(folder / "redis") as redis, _server(kind) as server:
            yield Place(kind=kind, folder=folder, redis=redis, server=server)


def kinds() -> list[str]:
    """Name the kinds of database that can be measured here."""
    names = ("DRYBEANS_BENCH_DATABASE_URL", "DRYBEANS_TEST_MYSQL_TOOL")
    return ["sqlite", "mysql"] if any(os.environ.get(name) for name in names) else ["sqlite"]


@contextmanager
def _server(kind: str) -> Iterator[str | None]:
    given = os.environ.get("DRYBEANS_BENCH_DATABASE_URL")
    if kind == "sqlite" or given:
        yield None if kind == "sqlite" else given
        return
    tool = os.environ.get("DRYBEANS_TEST_MYSQL_TOOL")
    if not tool:
        message = "set DRYBEANS_BENCH_DATABASE_URL to a MySQL whose user may create databases"
        raise SystemExit(message)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    server = MySQLServer(cache / "drybeans-test-mysql", Path(tool))
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
