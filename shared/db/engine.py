"""A database as the rest of drybeans uses it: short transactions, retried whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.db.attempts import Attempts
from shared.db.error_kinds import ErrorKind, kind_of, timed_out
from shared.db.mysql_pipeline import enable_pipelining
from shared.db.sqlite_file import SQLITE_LOCK_WAIT_SECONDS, prepare_sqlite
from shared.domain.errors import DatabaseDown

__all__ = ["Connection", "Database", "open_database"]

T = TypeVar("T")

# Whatever the server is set to: ORACLE and ANSI, for two, read some of our statements otherwise.
_SQL_MODE: Final = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_MAX_LOCK_WAIT_SECONDS: Final = 5
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# After these the connection is no good: it is closed, or leads to a server that takes no writes
# while its successor may have the same name.
_ANOTHER_CONNECTION: Final = frozenset(
    {ErrorKind.LOST, ErrorKind.UNWRITABLE, ErrorKind.LOGIN_REFUSED}
)


class Database:
    """Gives connections, and runs transactions that survive deadlocks and lost connections."""

    def __init__(self, engine: Engine, reader: Engine, busy_seconds: float) -> None:
        """Take over both engines; `reader` commits each statement by itself.

        `busy_seconds` is how long a transaction is run again while others hold what it needs.
        """
        self.engine = engine
        self._reader = reader
        self._busy_seconds = busy_seconds

    @contextmanager
    def _begin(self, *, write: bool) -> Iterator[Connection]:
        with (self.engine if write else self._reader).connect() as connection:
            try:
                if write:
                    with connection.begin():
                        yield connection
                else:
                    yield connection
            except DBAPIError as error:
                if kind_of(error) in _ANOTHER_CONNECTION:
                    connection.invalidate()
                elif write:
                    # SQLAlchemy takes a COMMIT that failed for the end of its transaction; the
                    # database may not, and the next one on this connection would go on with it.
                    _roll_back(connection)
                raise

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads; each of its statements sees what is committed by then.

        Raises `DatabaseDown`, or a subclass that says why, when the server cannot do it now.
        """
        return self._run(work, write=False)

    def write(
        self,
        work: Callable[[Connection], T],
        is_committed: Callable[[Connection], bool] | None = None,
    ) -> T:
        """Run `work` in one transaction and commit it, again after a deadlock or a lost connection.

        When the response to COMMIT is lost, `is_committed`, a query with locks if it can be, tells
        whether what `work` did is there. If it is not, or without such a query, `work` is run
        again and must find its own traces.

        Raises `DatabaseDown`, or a subclass that says why, when nothing was committed;
        `CommitUncertain` when nobody can tell; and `StaleRows` when `work` runs a guarded
        statement that finds other rows than it must.
        """
        return self._run(work, write=True, is_committed=is_committed)

    def _run(
        self,
        work: Callable[[Connection], T],
        *,
        write: bool,
        is_committed: Callable[[Connection], bool] | None = None,
    ) -> T:
        attempts = Attempts(self._busy_seconds)
        while True:
            done: tuple[T, ...] = ()
            try:
                with self._begin(write=write) as connection:
                    done = (work(connection),)
            except (DBAPIError, PoolTimeoutError) as error:
                if write and done and kind_of(error) is ErrorKind.LOST:
                    attempts.note_lost_commit()
                    if is_committed and self._is_committed(is_committed, error):
                        return done[0]
                attempts.next(error)
            else:
                return done[0]

    def _is_committed(
        self, is_committed: Callable[[Connection], bool], loss: DBAPIError | PoolTimeoutError
    ) -> bool:
        """Ask whether a lost transaction is there; a server that hangs is not waited for twice."""
        if timed_out(loss):
            return False
        try:
            return self.read(is_committed)
        except DatabaseDown:
            return False

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


def open_database(url: str, *, connections: int = 5, answer_seconds: float = 15.0) -> Database:
    """Open the database at `url` (sqlite, mysql+pymysql or mariadb+pymysql); connects lazily.

    `connections` is the most that one process holds, for writing and again for reading;
    `answer_seconds` is how long one statement may take before the server counts as down. A lock is
    waited for half as long, so that a held lock never looks like a server that is down.
    """
    location = make_url(url)
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "pool_size": connections,
        "max_overflow": 0,
        "pool_timeout": 2,
        # Rows are the clients' own; they belong into no log.
        "hide_parameters": True,
        # Every use ends its own transaction (`_begin`), so there is nothing left to roll back.
        "pool_reset_on_return": None,
    }
    if location.get_backend_name() == "sqlite":
        return _open_sqlite(location, options)
    return _open_mysql(location, options, answer_seconds)


def _open_mysql(location: URL, options: dict[str, Any], answer_seconds: float) -> Database:
    # In whole seconds, of which InnoDB takes one at least.
    lock_seconds = max(1, min(_MAX_LOCK_WAIT_SECONDS, int(answer_seconds / 2)))
    arguments: dict[str, Any] = {
        "charset": "utf8mb4",
        "connect_timeout": min(3, answer_seconds),
        "read_timeout": max(answer_seconds, lock_seconds + 0.5),
        "write_timeout": answer_seconds,
        "init_command": (
            f"SET SESSION innodb_lock_wait_timeout = {lock_seconds}, "
            # For tables that a migration changes; one that waits for others is patient.
            f"lock_wait_timeout = {max(1, int(answer_seconds / 2))}, "
            f"time_zone = '+00:00', sql_mode = '{_SQL_MODE}'"
        ),
    }
    if location.host in _LOOPBACK:
        # PyMySQL prefers TLS; what never leaves the machine needs none.
        arguments["ssl_disabled"] = True
    options |= {"pool_recycle": 1800, "connect_args": arguments}
    engine = create_engine(location, isolation_level="READ COMMITTED", **options)
    enable_pipelining(engine)
    return Database(
        engine,
        create_engine(
            location, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options
        ),
        busy_seconds=answer_seconds,
    )


def _open_sqlite(location: URL, options: dict[str, Any]) -> Database:
    options["connect_args"] = {"timeout": SQLITE_LOCK_WAIT_SECONDS}
    engine, reader = create_engine(location, **options), create_engine(location, **options)
    # A transaction that reads first and writes later fails at once when another wrote in between,
    # whatever the busy timeout; one that says so from the start waits its turn.
    prepare_sqlite(location.database, {engine: "BEGIN IMMEDIATE", reader: "BEGIN"})
    return Database(engine, reader, busy_seconds=SQLITE_LOCK_WAIT_SECONDS)
