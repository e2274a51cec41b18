"""Mutants without what keeps a fault of one part from becoming a fault of a job or an answer."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import worker.batch.run
import worker.models.loader
from shared.db import engine, error_kinds
from shared.domain.errors import CommitUncertain, DatabaseDown
from tests.chaos.mutants.base import Mutant
from worker import redis_transport

_ALL: Final = frozenset({"api", "worker", "sweeper"})
_API: Final = frozenset({"api"})


def _forget_error(code: int) -> None:
    """Take an error of the database for a bug of ours, which nothing waits for."""
    codes: Any = getattr(error_kinds, "_SERVER_CODES")  # noqa: B009 - not exported: only here
    del codes[code]


def _deny_lost_commits() -> None:
    """Say that nothing was accepted where the response to a commit was lost."""
    write: Callable[..., Any] = engine.Database.write

    def deny(database: engine.Database, work: Callable[..., Any], *_: object) -> Any:
        try:
            return write(database, work)
        except CommitUncertain as error:
            raise DatabaseDown from error

    setattr(engine.Database, "write", deny)  # noqa: B010 - mypy forbids to assign it


class _NeverRaised(Exception):
    """An error that nothing raises."""


def _count_refused_artifacts() -> None:
    """Take a model that this worker cannot load for a fault of the chunk."""
    setattr(worker.batch.run, "ModelUnavailable", _NeverRaised)  # noqa: B010 - not exported: only here


def _load_any_artifact() -> None:
    """Load whatever lies under a version, whichever artifact the job was accepted for."""
    setattr(worker.models.loader, "_check_pin", lambda *_: None)  # noqa: B010 - not exported: only here


def _end_at_garbage() -> None:
    """Let an unreadable message end the worker."""
    setattr(redis_transport.Channel, "_survive", lambda _, read: read())  # noqa: B010 - as above


_ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "table-full": (1114, "database answers 1114, table of results full"),
    "read-only": (1290, "database read-only"),
    "login-refused": (1045, "login refused"),
    "lock-wait": (1205, "rows locked by a foreign session"),
    "user-limit": (1226, "user's connections limited"),
    "interrupted": (1317, "database answers 1317, interrupted"),
    "rolled-back": (3101, "database answers 3101, rollback by replication"),
}

MUTANTS: Final = {
    **{
        name: Mutant(
            told=f"the error {code} of the database counted as a bug",
            faults=(fault,),
            shows=frozenset({"surprise", "log", "given up", "unfinished"}),
            apply=partial(_forget_error, code),
            parts=_ALL,
        )
        for name, (code, fault) in _ERRORS.items()
    },
    "lost-commits-denied": Mutant(
        told="a lost response to a commit taken for a failure",
        faults=("database commits unheard",),
        shows=frozenset({"denied"}),
        apply=_deny_lost_commits,
        parts=_API,
    ),
    "refused-artifact-counted": Mutant(
        told="a worker's refused artifact counted as an attempt",
        faults=("worker with a damaged artifact",),
        shows=frozenset({"failed by us", "given up"}),
        apply=_count_refused_artifacts,
    ),
    "artifact-not-compared": Mutant(
        told="a worker that loads another artifact than the job was accepted for",
        faults=("worker with another artifact under the version",),
        shows=frozenset({"wrong labels"}),
        apply=_load_any_artifact,
    ),
    "garbage-fatal": Mutant(
        told="a worker that ends at a message that it cannot read",
        faults=("garbage in the queues",),
        shows=frozenset({"ended by itself"}),
        apply=_end_at_garbage,
    ),
}
