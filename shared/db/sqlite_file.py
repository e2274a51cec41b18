"""The file of an SQLite database: created privately, with a write-ahead log, never exchanged."""

import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

SQLITE_LOCK_WAIT_SECONDS: Final = 10.0


class SqliteFile:
    """The file at `path`, created for nobody but its owner when it is not there."""

    def __init__(self, path: Path) -> None:
        """Create the file, and remember which one it is; SQLite reports what goes wrong."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives its journal the same mode.
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._path = path
        self._identity = self._look()

    def check(self) -> None:
        """Raise `sqlite3.OperationalError` when the file has been moved, deleted or replaced.

        An open connection would go on writing to the moved file, and a new one would begin an
        empty database.
        """
        if self._look() != self._identity:
            error = sqlite3.OperationalError(f"{self._path} was moved or replaced; restart")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def prepare_sqlite(database: str | None, begins: Mapping[Engine, str]) -> None:
    """Prepare the connections of each engine, which begins its transactions as `begins` says."""
    if database and database != ":memory:" and not database.startswith("file:"):
        file = SqliteFile(Path(database))
        for engine in begins:
            event.listen(engine, "do_connect", lambda *_: file.check())
            event.listen(engine, "checkout", lambda *_: file.check())
    for engine, begin in begins.items():
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin(begin))


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's own
    # The driver's implicit transactions start too late for a safe read-then-write.
    connection.isolation_level = None
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _on_begin(statement: str) -> Any:  # noqa: ANN401 - a listener
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


def _use_wal(connection: Any) -> None:  # noqa: ANN401 - sqlite3's own
    """Set the journal mode, also when several processes open a new file at the same moment.

    SQLite does not wait for the lock that changing the mode takes, whatever the busy timeout.
    """
    until = time.monotonic() + SQLITE_LOCK_WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not locked or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
