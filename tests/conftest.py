"""Fixtures of every test: real servers, started at first use and stopped at the end.

A server that is missing skips its tests on a person's machine, and fails them when CI=true. Of
MariaDB and MySQL one is enough there.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import hypothesis
import pytest
import redis
from xdist.scheduler import LoadScopeScheduling

from shared.db.engine import Database, open_database
from tests.servers import MariaDBServer, MySQLServer, RedisServer, ServerMissing
from tests.servers.schema import ServerSchema, SqliteSchema, create_database, drop_database

_KINDS: Final = ("unit", "integration", "e2e")
_SLOW_SECONDS: Final = 1200
_MISSING: Final = "NOT TESTED"

pytest.register_assert_rewrite("tests.fakes")

# A busy machine is no failure. For an hour of looking: pytest --hypothesis-profile=thorough
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=3000, deadline=None)


class _Startable(Protocol):
    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the name of its folder, and give slow ones more time."""
    top = Path(__file__).parent
    for item in items:
        kind = item.path.relative_to(top).parts[0]
        if kind in _KINDS:
            item.add_marker(kind)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SLOW_SECONDS))


class _ByWhatIsDear(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Hands out together, to one of several processes, the tests that share what is dear to start.

    That is MySQL, of which one starts for all, or what a file starts for its own tests.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        on_mysql = "mysql" in re.split(r"[\[\]-]", test) or file.endswith("test_images.py")
        return "mysql" if on_mysql else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Return how `pytest -n 2` shares out the tests."""
    return _ByWhatIsDear(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was left out because something is missing on this machine."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = sorted({str(why[2]) for why in skipped if isinstance(why, tuple)})
    for reason in reasons:
        if _MISSING in reason:
            terminalreporter.write_line(f"!!! {reason}", yellow=True, bold=True)


def _missing(what: str, why: str, *, required: bool = True) -> None:
    message = f"{_MISSING}: {what}: {why}"
    if required and os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def _given_mysql() -> bool:
    return bool(
        os.environ.get("DRYBEANS_TEST_DATABASE_URL") or os.environ.get("DRYBEANS_TEST_MYSQL_TOOL")
    )


def _serve(server: _Startable, *, required: bool = True) -> Iterator[str]:
    """Yield the URL of `server` while it runs."""
    try:
        server.start()
    except ServerMissing as error:
        _missing(type(server).__name__, str(error), required=required)
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for servers: short, since the path of a Unix socket may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="drybeans-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_redis(server_folder: Path) -> Iterator[str]:
    """The URL of the Redis of this run: DRYBEANS_TEST_REDIS_URL, or one of our own."""
    if given := os.environ.get("DRYBEANS_TEST_REDIS_URL"):
        yield given
    else:
        yield from _serve(RedisServer(server_folder / "redis"))


@pytest.fixture
def redis_url(shared_redis: str) -> str:
    """The URL of a Redis whose database is empty."""
    with redis.Redis.from_url(shared_redis) as client:
        client.flushdb()
    return shared_redis


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis of this test alone, to be killed, frozen and restarted."""
    server = RedisServer(tmp_path / "redis")
    try:
        server.start()
    except ServerMissing as error:
        _missing("Redis", str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb(server_folder: Path) -> Iterator[str]:
    """The URL of a MariaDB server, whose user may create databases."""
    yield from _serve(MariaDBServer(server_folder / "mariadb"), required=not _given_mysql())


@pytest.fixture(scope="session")
def mysql() -> Iterator[str]:
    """The URL of a MySQL server, whose user may create databases.

    It is DRYBEANS_TEST_DATABASE_URL, or what the tool in DRYBEANS_TEST_MYSQL_TOOL starts.
    """
    if given := os.environ.get("DRYBEANS_TEST_DATABASE_URL"):
        yield given
    elif tool := os.environ.get("DRYBEANS_TEST_MYSQL_TOOL"):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        yield from _serve(MySQLServer(cache / "drybeans-test-mysql", Path(tool)))
    else:
        why = "set DRYBEANS_TEST_DATABASE_URL to a server whose user may create databases"
        _missing("MySQL", why, required=False)


@pytest.fixture(scope="session")
def sqlite_schema(tmp_path_factory: pytest.TempPathFactory) -> SqliteSchema:
    """The newest schema on SQLite."""
    return SqliteSchema(tmp_path_factory.mktemp("sqlite"))


def _server_schema(server_url: str) -> Iterator[ServerSchema]:
    schema = ServerSchema(server_url)
    yield schema
    schema.drop()


@pytest.fixture(scope="session")
def mariadb_schema(mariadb: str) -> Iterator[ServerSchema]:
    """The newest schema on MariaDB."""
    yield from _server_schema(mariadb)


@pytest.fixture(scope="session")
def mysql_schema(mysql: str) -> Iterator[ServerSchema]:
    """The newest schema on MySQL."""
    yield from _server_schema(mysql)


@pytest.fixture(params=["sqlite", "mariadb", "mysql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated database without rows, on each kind of database in turn."""
    schema = request.getfixturevalue(f"{request.param}_schema")
    if isinstance(schema, SqliteSchema):
        return schema.copy_to(tmp_path)
    schema.empty()
    url: str = schema.url
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open, migrated database without rows, on each kind of database in turn."""
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "mariadb", "mysql"])
def blank_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, on each kind of database in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'drybeans.db'}"
        return
    url = create_database(request.getfixturevalue(request.param))
    yield url
    drop_database(url)


@pytest.fixture(scope="session")
def dataset() -> Path:
    """The path of the real data set, which is not part of the project."""
    given = os.environ.get("DRYBEANS_TEST_DATASET", "")
    if not given or not Path(given).is_file():
        _missing("the data set", "DRYBEANS_TEST_DATASET names no file", required=False)
    return Path(given)
