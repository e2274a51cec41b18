"""A database as the rest of drybeans uses it: short transactions, retried whole."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.db.packets import GUARD_FAILED, RowsMissed, send_packets
from shared.domain.errors import DatabaseDown

__all__ = ["Connection", "Database", "open_database"]

T = TypeVar("T")

# 1213 deadlock, 1205 lock wait timeout, 1020 MariaDB's "record has changed".
_TRANSIENT: Final = frozenset({1213, 1205, 1020})
# The server is gone, going or not there yet; or it takes no more connections, or only reads.
_DOWN: Final = frozenset({1040, 1053, 1152, 1290, 1836, 2002, 2003, 2006, 2013, 2014, 2055, 4031})
_TRIES: Final = 5
_STALE_SECONDS: Final = 1.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Database:
    """Gives connections, and runs transactions that survive deadlocks and lost connections."""

    def __init__(self, engine: Engine, reader: Engine) -> None:
        """Take over both engines; `reader` commits each statement by itself."""
        self.engine = engine
        self._reader = reader

    @contextmanager
    def _begin(self, *, write: bool) -> Iterator[Connection]:
        if not write:
            with self._reader.connect() as connection:
                yield connection
            return
        with self.engine.connect() as connection:
            try:
                with connection.begin():
                    yield connection
            except DBAPIError:
                # SQLAlchemy takes a COMMIT that failed for the end of its transaction; the database
                # may not, and the next one on this connection would go on with it.
                _roll_back(connection)
                raise

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads; each of its statements sees what is committed by then.

        Raises `DatabaseDown` when the server does not answer.
        """
        return self._run(work, write=False)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction and commit it, anew after a deadlock or a lost connection.

        A lost connection leaves it open whether the commit happened, so `work` must find its own
        traces when it is run again. Raises `DatabaseDown` when the server does not answer, and
        `RowsMissed` when `work` runs a guarded statement that finds other rows than it must.
        """
        return self._run(work, write=True)

    def _run(self, work: Callable[[Connection], T], *, write: bool) -> T:
        for attempt in range(_TRIES):
            began = time.monotonic()
            try:
                with self._begin(write=write) as connection:
                    return work(connection)
            except PoolTimeoutError as error:
                raise DatabaseDown from error
            except DBAPIError as error:
                if _code(error) == GUARD_FAILED:
                    raise RowsMissed from error
                down = _is_down(error)
                # A stale pooled connection fails at once and costs one try. A second loss, or one
                # that took long, means that the server is down: nobody shall wait for it twice.
                hangs = time.monotonic() - began > _STALE_SECONDS
                if down and (attempt or hangs or _refused(error)):
                    raise DatabaseDown from error
                if not down and (not _is_transient(error) or attempt == _TRIES - 1):
                    raise
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise DatabaseDown

    def ping(self) -> None:
        """Raise `DatabaseDown` unless the database answers and can be written."""
        self.write(_touch)

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()
        self._reader.dispose()


def _roll_back(connection: Connection) -> None:
    if connection.invalidated:
        return
    try:
        connection.connection.rollback()
    except connection.dialect.loaded_dbapi.Error:
        connection.invalidate()


def _touch(connection: Connection) -> None:
    # Matches no row, but needs the same right and the same lock as a real write.
    connection.execute(text("UPDATE jobs SET attempts = attempts WHERE id = ''"))


def _code(error: DBAPIError) -> int | None:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _is_transient(error: DBAPIError) -> bool:
    return _code(error) in _TRANSIENT or "database is locked" in str(error.orig)


def _is_down(error: DBAPIError) -> bool:
    message = str(error.orig)
    return (
        error.connection_invalidated
        or _code(error) in _DOWN
        or any(words in message for words in ("unable to open", "disk is full", "readonly"))
    )


def _refused(error: DBAPIError) -> bool:
    return _code(error) in {2002, 2003}


def open_database(url: str, *, connections: int = 5, answer_seconds: float = 15.0) -> Database:
    """Open the database at `url` (sqlite, mysql+pymysql or mariadb+pymysql); connects lazily.

    `connections` is the most that one process holds, for writing and again for reading;
    `answer_seconds` is how long one statement may take before the server counts as down.
    """
    location = make_url(url)
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "pool_size": connections,
        "max_overflow": 0,
        "pool_timeout": 2,
        # Every use ends its own transaction (`_begin`), so there is nothing left to roll back.
        "pool_reset_on_return": None,
    }
    if location.get_backend_name() == "sqlite":
        return _open_sqlite(location, options)
    return _open_mysql(location, options, answer_seconds)


def _open_mysql(location: URL, options: dict[str, Any], answer_seconds: float) -> Database:
    arguments: dict[str, Any] = {
        "charset": "utf8mb4",
        "connect_timeout": min(3, answer_seconds),
        "read_timeout": answer_seconds,
        "write_timeout": answer_seconds,
        # Less than any request's or task's limit; the default of 50 s is more.
        "init_command": "SET SESSION innodb_lock_wait_timeout = 5, time_zone = '+00:00'",
    }
    if location.host in _LOOPBACK:
        # PyMySQL prefers TLS; what never leaves the machine needs none.
        arguments["ssl_disabled"] = True
    options |= {"pool_recycle": 1800, "connect_args": arguments}
    engine = create_engine(location, isolation_level="READ COMMITTED", **options)
    send_packets(engine)
    return Database(
        engine,
        create_engine(
            location, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options
        ),
    )


def _open_sqlite(location: URL, options: dict[str, Any]) -> Database:
    if location.database and location.database != ":memory:":
        Path(location.database).parent.mkdir(parents=True, exist_ok=True)
    options["connect_args"] = {"timeout": 10}
    engine, reader = create_engine(location, **options), create_engine(location, **options)
    # A transaction that reads first and writes later fails at once when another wrote in between,
    # whatever the busy timeout; one that says so from the start waits its turn.
    _prepare_sqlite(engine, "BEGIN IMMEDIATE")
    _prepare_sqlite(reader, "BEGIN")
    return Database(engine, reader)


def _prepare_sqlite(engine: Engine, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:  # noqa: ANN401 - sqlite3's own
        # The driver's implicit transactions start too late for a safe read-then-write.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
