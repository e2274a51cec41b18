"""What kind of error a database reports: the one table that decides what is retried or waited for.

Sources: MySQL 8.4/9 Server and Client Error Reference, MariaDB Error Codes, PyMySQL's own use of
client errors, SQLite Result and Error Codes, ProxySQL (9001 and on).
"""

import sqlite3
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.domain.errors import (
    DatabaseBusy,
    DatabaseDown,
    DatabaseLoginRefused,
    DatabaseUnwritable,
)


class ErrorKind(Enum):
    """What an error means to whoever runs a transaction."""

    TRANSIENT = auto()
    """The server has undone the transaction for the sake of another: run it again."""
    BUSY = auto()
    """Another transaction, or all others together, hold what this one needs."""
    LOST = auto()
    """The connection or the statement was ended from outside: another connection may do."""
    UNAVAILABLE = auto()
    """The server is not there, or takes no more work for now."""
    UNWRITABLE = auto()
    """The server answers and stores nothing: it is full or read-only."""
    LOGIN_REFUSED = auto()
    """The server refuses the user, the password or a right."""
    STALE_ROWS = auto()
    """A guarded statement found other rows than it must: see `shared.db.mysql_pipeline`."""
    BUG = auto()
    """Anything else: nothing that passes by itself."""


def _codes(kind: ErrorKind, *codes: int) -> dict[int, ErrorKind]:
    return dict.fromkeys(codes, kind)


_SERVER_CODES: Final[Mapping[int, ErrorKind]] = {
    # A record that has changed, a deadlock, a changed table, an error during COMMIT (Galera's
    # deadlock), a statement to be prepared again, a certification that failed.
    **_codes(ErrorKind.TRANSIENT, 1020, 1213, 1412, 1180, 1615, 3101),
    # A lock wait, a full table of locks, too many transactions, NOWAIT, a server that is too busy.
    **_codes(ErrorKind.BUSY, 1205, 1206, 1637, 3572, 3168),
    # Killed or interrupted, by an operator, a time limit or a shutdown; what the network did; what
    # PyMySQL calls it: gone, lost, out of step, malformed, closed for its silence.
    **_codes(ErrorKind.LOST, 0, 1053, 1152, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1317),
    **_codes(ErrorKind.LOST, 1927, 2006, 2012, 2013, 2014, 2027, 2045, 2055, 3169, 4031),
    # Too many connections, out of memory or threads, handshake, shutdown, blocked host, limits of
    # the user; a statement that took too long; offline, group replication, Galera, proxies.
    **_codes(ErrorKind.UNAVAILABLE, 1037, 1038, 1040, 1041, 1042, 1043, 1047, 1077, 1078, 1079),
    **_codes(ErrorKind.UNAVAILABLE, 1080, 1129, 1135, 1203, 1226, 1969, 2002, 2003, 2005, 2026),
    **_codes(ErrorKind.UNAVAILABLE, 3024, 3032, 3100, 3796, 9001, 9002, 9006),
    # A full disk or table, errors of the storage, read-only servers, schemas and transactions.
    **_codes(ErrorKind.UNWRITABLE, 1021, 1026, 1030, 1114, 1223, 1290, 1792, 1836, 1874, 1881),
    **_codes(ErrorKind.UNWRITABLE, 3989),
    # Wrong user or password, no such database for them, hosts, rights, expired, locked, plugins.
    **_codes(ErrorKind.LOGIN_REFUSED, 1044, 1045, 1049, 1130, 1142, 1143, 1227, 1251, 1275, 1370),
    **_codes(ErrorKind.LOGIN_REFUSED, 1524, 1698, 1820, 1862, 1873, 3118, 3159, 3955, 4151),
    **_codes(ErrorKind.LOGIN_REFUSED, 2054, 2059, 2061),
    **_codes(ErrorKind.STALE_ROWS, 1690),
}

_SQLITE_CODES: Final[Mapping[int, ErrorKind]] = {
    sqlite3.SQLITE_BUSY_SNAPSHOT: ErrorKind.TRANSIENT,
    sqlite3.SQLITE_BUSY: ErrorKind.BUSY,
    sqlite3.SQLITE_LOCKED: ErrorKind.BUSY,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.UNAVAILABLE,
    sqlite3.SQLITE_IOERR: ErrorKind.UNWRITABLE,
    sqlite3.SQLITE_FULL: ErrorKind.UNWRITABLE,
    sqlite3.SQLITE_READONLY: ErrorKind.UNWRITABLE,
    sqlite3.SQLITE_PERM: ErrorKind.LOGIN_REFUSED,
    sqlite3.SQLITE_AUTH: ErrorKind.LOGIN_REFUSED,
}

_ERRORS: Final[Mapping[ErrorKind, type[DatabaseDown]]] = {
    # Rolled back again and again: others are in the way.
    ErrorKind.TRANSIENT: DatabaseBusy,
    ErrorKind.BUSY: DatabaseBusy,
    ErrorKind.LOST: DatabaseDown,
    ErrorKind.UNAVAILABLE: DatabaseDown,
    ErrorKind.UNWRITABLE: DatabaseUnwritable,
    ErrorKind.LOGIN_REFUSED: DatabaseLoginRefused,
}


def kind_of(error: DBAPIError | PoolTimeoutError) -> ErrorKind:
    """Return the kind of `error`, as SQLAlchemy raised it."""
    if isinstance(error, PoolTimeoutError):
        return ErrorKind.BUSY
    if isinstance(error.orig, sqlite3.Error):
        return _kind_of_sqlite(error.orig)
    kind = _SERVER_CODES.get(_code(error), ErrorKind.BUG)
    if kind is ErrorKind.BUG and error.connection_invalidated:
        return ErrorKind.LOST
    return kind


def error_of(kind: ErrorKind) -> DatabaseDown | None:
    """Return the error to raise for what passes by itself, None for what does not."""
    error = _ERRORS.get(kind)
    return None if error is None else error()


def timed_out(error: DBAPIError | PoolTimeoutError) -> bool:
    """Return whether the driver gave up waiting for a response."""
    # PyMySQL raises its own error while it handles the socket's.
    return isinstance(error, DBAPIError) and isinstance(
        getattr(error.orig, "__context__", None), TimeoutError
    )


def _code(error: DBAPIError) -> int:
    arguments = getattr(error.orig, "args", ())
    if arguments and isinstance(arguments[0], int):
        return arguments[0]
    # PyMySQL has no code for a response that is out of step or incomplete.
    return 0 if isinstance(error, InterfaceError | InternalError) else -1


def _kind_of_sqlite(error: sqlite3.Error) -> ErrorKind:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return ErrorKind.BUG
    # An extended code has the code that it refines in its lowest byte.
    return _SQLITE_CODES.get(code) or _SQLITE_CODES.get(code & 0xFF, ErrorKind.BUG)
