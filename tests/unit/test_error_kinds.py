"""The table of database errors: each code has the kind that decides what happens next."""

import sqlite3

import pymysql
import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.db.error_kinds import ErrorKind, error_of, kind_of, timed_out
from shared.domain.errors import (
    DatabaseBusy,
    DatabaseDown,
    DatabaseLoginRefused,
    DatabaseUnwritable,
)


def server_error(code: int, message: str = "") -> DBAPIError:
    """Make an error as SQLAlchemy wraps it."""
    return OperationalError(None, None, pymysql.OperationalError(code, message))


@pytest.mark.parametrize(
    "kind, codes",
    [
        (ErrorKind.TRANSIENT, [1213, 1020, 3101]),
        (ErrorKind.BUSY, [1205, 3572]),
        (ErrorKind.LOST, [2006, 2013, 1317, 1927, 1053, 4031, 0]),
        (ErrorKind.UNAVAILABLE, [1040, 1203, 1226, 2002, 2003, 3024, 1969, 3032, 1047]),
        (ErrorKind.UNWRITABLE, [1114, 1021, 1290, 1836, 1792, 1030, 3989, 1874]),
        (ErrorKind.LOGIN_REFUSED, [1045, 1044, 1142, 1698, 1862, 3118, 4151]),
        (ErrorKind.STALE_ROWS, [1690]),
        (ErrorKind.BUG, [1054, 1062, 1064, 1146, 1153, 1264, 1366, 1406]),
    ],
)
def test_every_code_has_its_kind(kind: ErrorKind, codes: list[int]) -> None:
    """What stands in no row is a bug of ours."""
    assert {code: kind_of(server_error(code)) for code in codes} == dict.fromkeys(codes, kind)


def test_a_connection_that_sqlalchemy_gave_up_is_lost() -> None:
    """Whatever its error says."""
    closed = OperationalError(
        None, None, pymysql.OperationalError("Already closed"), connection_invalidated=True
    )
    torn = InternalError(None, None, pymysql.InternalError("Packet sequence number wrong"))
    gone = InterfaceError(None, None, pymysql.InterfaceError(0, ""))

    assert [kind_of(error) for error in (closed, torn, gone)] == [ErrorKind.LOST] * 3


def test_all_connections_in_use_is_busy() -> None:
    """The server is well; it is this process that has too much to do."""
    assert kind_of(PoolTimeoutError("QueuePool limit reached")) is ErrorKind.BUSY


@pytest.mark.parametrize(
    "code, kind",
    [
        (sqlite3.SQLITE_BUSY, ErrorKind.BUSY),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, ErrorKind.TRANSIENT),
        (sqlite3.SQLITE_FULL, ErrorKind.UNWRITABLE),
        (sqlite3.SQLITE_READONLY_DBMOVED, ErrorKind.UNWRITABLE),
        (sqlite3.SQLITE_IOERR_WRITE, ErrorKind.UNWRITABLE),
        (sqlite3.SQLITE_CANTOPEN, ErrorKind.UNAVAILABLE),
        (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, ErrorKind.BUG),
        (sqlite3.SQLITE_CORRUPT, ErrorKind.BUG),
    ],
)
def test_sqlite_is_told_by_its_codes(code: int, kind: ErrorKind) -> None:
    """An extended code has a kind of its own, or that of the code it refines."""
    raised = sqlite3.OperationalError("any words")
    raised.sqlite_errorcode = code

    assert kind_of(OperationalError(None, None, raised)) is kind


def test_what_passes_by_itself_has_an_error_that_says_what_it_is() -> None:
    """And what does not has none: it is raised as it is."""
    errors = {kind: type(error_of(kind)) for kind in ErrorKind}

    assert errors == {
        ErrorKind.TRANSIENT: DatabaseBusy,
        ErrorKind.BUSY: DatabaseBusy,
        ErrorKind.LOST: DatabaseDown,
        ErrorKind.UNAVAILABLE: DatabaseDown,
        ErrorKind.UNWRITABLE: DatabaseUnwritable,
        ErrorKind.LOGIN_REFUSED: DatabaseLoginRefused,
        ErrorKind.STALE_ROWS: type(None),
        ErrorKind.BUG: type(None),
    }


def test_a_driver_that_gave_up_waiting_is_told_from_a_cut_connection() -> None:
    """The one is not worth asking again at once."""
    assert not timed_out(server_error(2013))
    waited = pymysql.OperationalError(2013, "Lost connection (timed out)")
    waited.__context__ = TimeoutError("timed out")
    assert timed_out(OperationalError(None, None, waited))
