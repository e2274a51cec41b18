"""Faults of the database server and of the connections to it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, Final

import pymysql
from sqlalchemy import make_url

from tests.chaos.faults.base import Registry, Strike, Target, fault
from tests.chaos.mysql_proxy import Moment
from tests.chaos.stage import PASSWORD, Stage, connect_as_root

FAULTS: Final[Registry] = {}
_database = partial(fault, FAULTS, Target.DATABASE, costs_attempts=True)
_FEWEST_CONNECTIONS: Final = 10
"""The lowest `max_connections` that MariaDB accepts."""


@_database("database killed", hold=(0.2, 3))
def _killed(strike: Strike) -> Iterator[None]:
    stage = strike.stage
    stage.database_server.kill()
    stage.database_proxy.refuse()
    yield
    stage.database_server.start()
    stage.database_proxy.accept()


@_database("database connections cut")
def _cut(strike: Strike) -> Iterator[None]:
    for _ in range(strike.chance.randint(1, 5)):
        strike.stage.database_proxy.cut()
        strike.pause(0.02, 0.3)
    yield


@_database("database statements cut in half", hold=(1, 2))
def _half_statements(strike: Strike) -> Iterator[None]:
    strike.stage.database_proxy.cut_statements(strike.chance.randint(2, 8))
    yield


def _commits_cut(moment: Moment, strike: Strike) -> Iterator[None]:
    strike.stage.database_proxy.cut_commits(strike.chance.randint(3, 12), moment)
    yield


for _name, _moment in {
    "database commits unheard": Moment.AFTER,
    "database commits cut on their way": Moment.DURING,
    "database commits cut in half": Moment.HALFWAY,
    "database commits never sent": Moment.BEFORE,
}.items():
    _database(_name, hold=(1, 2))(partial(_commits_cut, _moment))


@_database("database frozen", hold=(1, 6))
def _frozen(strike: Strike) -> Iterator[None]:
    strike.stage.database_proxy.freeze()
    yield
    strike.stage.database_proxy.thaw()


@_database("rows locked by a foreign session", hold=(10, 30))
def _rows_locked(strike: Strike) -> Iterator[None]:
    """Hold locks on all unfinished jobs and chunks, as a long transaction by hand does."""
    with _root(strike.stage) as cursor:
        cursor.execute(f"USE {make_url(strike.stage.database_url).database}")
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 50")
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute("BEGIN")
        states = "('receiving', 'queued', 'running', 'pending')"
        for table in ("jobs", "chunks"):
            # What another transaction holds at this moment stays with it.
            cursor.execute(f"SELECT 1 FROM {table} WHERE state IN {states} FOR UPDATE SKIP LOCKED")
            cursor.fetchall()
        yield
        cursor.execute("ROLLBACK")


@_database("max_connections reached", hold=(2, 8))
def _connections_exhausted(strike: Strike) -> Iterator[None]:
    """Let foreign sessions take all the connections that the server accepts."""
    with _root(strike.stage) as cursor, ExitStack() as sessions:
        cursor.execute("SELECT @@GLOBAL.max_connections")
        ((usual,),) = cursor.fetchall()
        cursor.execute(f"SET GLOBAL max_connections = {_FEWEST_CONNECTIONS}")
        try:
            for _ in range(3):
                strike.stage.database_proxy.cut()
                _take_connections(strike.stage, sessions)
                time.sleep(0.05)
            yield
        finally:
            cursor.execute(f"SET GLOBAL max_connections = {usual}")


def _take_connections(stage: Stage, sessions: ExitStack) -> None:
    location = make_url(stage.database_url)
    with suppress(pymysql.OperationalError):
        while True:
            session = pymysql.connect(
                host="127.0.0.1",
                port=stage.database_server.port,
                user=location.username or "",
                password=PASSWORD,
                connect_timeout=2,
            )
            sessions.callback(session.close)


@_database("database read-only", hold=(2, 8))
def _read_only(strike: Strike) -> Iterator[None]:
    with _root(strike.stage) as cursor:
        cursor.execute("SET GLOBAL read_only = ON")
        try:
            yield
        finally:
            cursor.execute("SET GLOBAL read_only = OFF")


@_database("login refused", hold=(2, 8))
def _login_refused(strike: Strike) -> Iterator[None]:
    """Change the user's password and cut its connections, as a rotation of secrets does."""
    yield from _altered(
        strike, f"IDENTIFIED BY '{PASSWORD}-rotated'", f"IDENTIFIED BY '{PASSWORD}'"
    )


@_database("account locked", hold=(2, 8))
def _account_locked(strike: Strike) -> Iterator[None]:
    yield from _altered(strike, "ACCOUNT LOCK", "ACCOUNT UNLOCK")


@_database("user's connections limited", hold=(2, 8))
def _user_limited(strike: Strike) -> Iterator[None]:
    limit = "WITH MAX_USER_CONNECTIONS"
    yield from _altered(strike, f"{limit} 1", f"{limit} 0")


def _altered(strike: Strike, change: str, undo: str) -> Iterator[None]:
    user = make_url(strike.stage.database_url).username
    with _root(strike.stage) as cursor:
        cursor.execute(f"ALTER USER {user}@'%' {change}")
        strike.stage.database_proxy.cut()
        try:
            yield
        finally:
            cursor.execute(f"ALTER USER {user}@'%' {undo}")


@_database("sessions killed", hold=(0, 1))
def _sessions_killed(strike: Strike) -> Iterator[None]:
    _kill_sessions(strike, "KILL CONNECTION", strike.chance.randint(5, 40))
    yield


@_database("queries killed", hold=(0, 1))
def _queries_killed(strike: Strike) -> Iterator[None]:
    _kill_sessions(strike, "KILL QUERY", strike.chance.randint(100, 400))
    yield


def _kill_sessions(strike: Strike, command: str, count: int) -> None:
    """Kill sessions of the parts' user that are in a query, over and over."""
    user = make_url(strike.stage.database_url).username
    with _root(strike.stage) as cursor:
        for _ in range(count):
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE user = %s "
                "ORDER BY command = 'Sleep', RAND() LIMIT 1",
                [user],
            )
            for (session,) in cursor.fetchall():
                with suppress(pymysql.OperationalError):
                    cursor.execute(f"{command} {session}")
            strike.pause(0, 0.02)


@contextmanager
def _root(stage: Stage) -> Iterator[Any]:
    """Open a session of the server's administrator, past the proxy."""
    connection = connect_as_root(stage.database_server)
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
