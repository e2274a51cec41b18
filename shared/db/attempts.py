"""Decides after each failed attempt at a transaction whether it is run again, or what to raise."""

import random
import time
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.db.error_kinds import ErrorKind, error_of, kind_of
from shared.db.mysql_pipeline import StaleRows
from shared.domain.errors import CommitUncertain

_MAX_ATTEMPTS: Final = 5
_STALE_SECONDS: Final = 1.0


class Attempts:
    """The attempts at one transaction; `busy_seconds` is how long a held lock is worth waiting."""

    def __init__(self, busy_seconds: float) -> None:
        """Begin the first attempt now."""
        self._busy_seconds = busy_seconds
        self._number = 1
        self._begun = self._attempt_begun = time.monotonic()
        self._uncertain = False

    def note_lost_commit(self) -> None:
        """Note that the response to a commit was lost: from now on nothing is certain."""
        self._uncertain = True

    def next(self, error: DBAPIError | PoolTimeoutError) -> None:
        """Begin another attempt after a short pause, or raise what `error` comes to.

        Raises `StaleRows`, `CommitUncertain`, `DatabaseDown` or a subclass, or a bug as it is.
        """
        kind = kind_of(error)
        if kind is ErrorKind.STALE_ROWS:
            raise StaleRows from error
        passing = error_of(kind)
        if passing is None:
            raise error
        if isinstance(error, PoolTimeoutError) or not self._is_worth_another(kind):
            raise (CommitUncertain() if self._uncertain else passing) from error
        time.sleep(random.uniform(0, 0.01 * 2**self._number))  # noqa: S311 - jitter, not a secret
        self._number += 1
        self._attempt_begun = time.monotonic()

    def _is_worth_another(self, kind: ErrorKind) -> bool:
        now = time.monotonic()
        if self._number == _MAX_ATTEMPTS:
            return False
        if kind is ErrorKind.LOST:
            # A stale pooled connection fails at once and costs one attempt. A second loss, or one
            # that took long, means that the server is down: nobody shall wait for it twice.
            return self._number == 1 and now - self._attempt_begun <= _STALE_SECONDS
        if kind is ErrorKind.BUSY:
            return now - self._begun < self._busy_seconds
        return kind is ErrorKind.TRANSIENT
