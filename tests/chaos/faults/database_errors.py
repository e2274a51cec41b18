"""Faults of the database that show as error codes: each is given for a while, by the proxy."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from tests.chaos.faults.base import Registry, Strike, Target, fault
from tests.chaos.mysql_proxy import ServerError

FAULTS: Final[Registry] = {}

_INSERT: Final = rb"INSERT INTO"
_RESULTS: Final = rb"INSERT INTO `?results"
_WRITE: Final = rb"INSERT INTO|UPDATE|DELETE FROM"
_SELECT: Final = rb"SELECT"
_COMMIT: Final = rb"COMMIT$"
_ANY: Final = rb"."

ERRORS: Final = {
    "table full": (1114, "HY000", _INSERT, "The table 'results' is full"),
    "table of results full": (1114, "HY000", _RESULTS, "The table 'results' is full"),
    "disk full": (1021, "HY000", _INSERT, "Disk full (/tmp); waiting for someone to free space"),
    "no space left": (1030, "HY000", _WRITE, "Got error 28 from storage engine"),
    "read-only option": (1290, "HY000", _WRITE, "The server runs with the --read-only option"),
    "read-only mode": (1836, "HY000", _WRITE, "Running in read-only mode"),
    "read-only transaction": (1792, "25006", _WRITE, "Cannot execute statement in READ ONLY"),
    "too many user connections": (1203, "42000", _ANY, "User has more than max_user_connections"),
    "user limit": (1226, "42000", _ANY, "User has exceeded the 'max_queries_per_hour' resource"),
    "out of memory": (1041, "HY000", _ANY, "Out of memory; check if mysqld uses all of it"),
    "out of sort memory": (1038, "HY001", _SELECT, "Out of sort memory"),
    "interrupted": (1317, "70100", _ANY, "Query execution was interrupted"),
    "statement timeout": (3024, "HY000", _SELECT, "Maximum statement execution time exceeded"),
    "statement timeout of MariaDB": (1969, "70100", _ANY, "max_statement_time exceeded"),
    "lock wait timeout": (1205, "HY000", _WRITE, "Lock wait timeout exceeded"),
    "lock table full": (1206, "HY000", _WRITE, "Total number of locks exceeds the table size"),
    "too many transactions": (1637, "HY000", _WRITE, "Too many active concurrent transactions"),
    "shutdown in progress": (1053, "08S01", _ANY, "Server shutdown in progress"),
    "node not ready": (1047, "08S01", _ANY, "WSREP has not yet prepared node for use"),
}
"""Code, SQLSTATE, which statements, and the message of each error that leaves its transaction."""

ROLLBACKS: Final = {
    "deadlock": (1213, "40001", _WRITE, "Deadlock found when trying to get lock"),
    "rollback by replication": (3101, "40000", _COMMIT, "Plugin instructed to rollback"),
    "commit refused by replication": (3100, "HY000", _COMMIT, "Error on observer, before_commit"),
    "commit failed": (1180, "HY000", _COMMIT, "Got error 149 during COMMIT"),
}
"""The same of each error with which the server has rolled its transaction back."""


def _answer(pattern: re.Pattern[bytes], error: ServerError, strike: Strike) -> Iterator[None]:
    strike.stage.database_proxy.fail_matching(pattern, error)
    yield
    strike.stage.database_proxy.pass_statements()


for _errors, _rolls_back in ((ERRORS, False), (ROLLBACKS, True)):
    for _name, (_code, _state, _pattern, _message) in _errors.items():
        _answers = partial(
            _answer,
            re.compile(_pattern, re.IGNORECASE | re.DOTALL),
            ServerError(_code, _message, _state, _rolls_back),
        )
        fault(
            FAULTS,
            Target.DATABASE,
            f"database answers {_code}, {_name}",
            hold=(5, 20),
            costs_attempts=True,
        )(_answers)
