"""Who calls: API keys, their quotas, and the record of refusals."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.db.api_keys import queued_rows, read_api_key, record_use
from shared.db.clock import database_clock
from shared.db.engine import Database
from shared.domain.errors import DatabaseDown, DryBeansError, KeyMissing, KeyWrong, QuotaExceeded
from shared.domain.keys import ApiKey, read_key

log = logging.getLogger(__name__)

_CACHE_SECONDS: Final = 5.0
"""Seconds for which a key is believed to be as it was: a revocation takes this long at most."""
_MAX_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose request it is: `owner` is empty where keys are off.

    `row_quota` is how many rows it may have queued, None for any number.
    """

    owner: str
    row_quota: int | None = None


class Authenticator(Protocol):
    """Decides who may come in."""

    def authenticate(self, authorization: str | None, /) -> Caller:
        """Return whose request it is. Raises `KeyMissing`, `KeyWrong` and `QuotaExceeded`."""
        ...

    def check_rows(self, caller: Caller, /) -> None:
        """Raise `QuotaExceeded` when `caller` has as many rows waiting as it may."""
        ...


class AnonymousAuthenticator:
    """Lets everyone in, as one and the same caller: for one machine, where keys are off."""

    def authenticate(self, _authorization: str | None, /) -> Caller:
        """Ask nothing."""
        return Caller(owner="")

    def check_rows(self, _caller: Caller, /) -> None:
        """Limit nothing."""


@dataclass(slots=True)
class _CachedKey:
    """What is known of a key, since when, and how many requests it still has."""

    key: ApiKey | None
    seen: float
    tokens: float = 1.0
    filled: float = 0.0
    rows: int = 0
    rows_seen: float = float("-inf")
    used_noted: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)


class KeyAuthenticator:
    """Lets in who shows a valid key, as often as its quota allows."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        """Read keys from `database`, each at most once in some seconds."""
        self._database = database
        self._clock = clock
        self._now = database_clock(database)
        self._entries: dict[str, _CachedKey] = {}

    def authenticate(self, authorization: str | None, /) -> Caller:
        """Return whose key it is. Raises `KeyMissing`, `KeyWrong` and `QuotaExceeded`."""
        scheme, _, text = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise KeyMissing
        parts = read_key(text.strip())
        if parts is None:
            raise KeyWrong
        key_id, secret = parts
        entry = self._entry(key_id)
        if entry.key is None or not entry.key.admits(secret, self._now()):
            raise KeyWrong
        self._consume_token(entry, entry.key)
        self._record_use(entry, key_id)
        return Caller(owner=key_id, row_quota=entry.key.queued_rows)

    def check_rows(self, caller: Caller, /) -> None:
        """Raise `QuotaExceeded` when the key has as many rows waiting as it may."""
        entry = self._entry(caller.owner)
        most = entry.key.queued_rows if entry.key else None
        if most is None:
            return
        if self._clock() - entry.rows_seen > 1:
            entry.rows_seen = self._clock()
            entry.rows = self._database.read(lambda c: queued_rows(c, caller.owner))
        if entry.rows >= most:
            raise QuotaExceeded(f"The row quota of this API key is {most}: {entry.rows} queued.")

    def _entry(self, key_id: str) -> _CachedKey:
        entry = self._entries.get(key_id)
        if entry is not None and self._clock() - entry.seen < _CACHE_SECONDS:
            return entry
        key = self._database.read(lambda c: read_api_key(c, key_id))
        if entry is None:
            if len(self._entries) >= _MAX_KEYS:
                # Made-up ids must not fill the memory.
                self._entries.clear()
            burst = max(key.requests_per_second or 1.0, 1.0) if key else 1.0
            entry = _CachedKey(key=key, seen=self._clock(), tokens=burst, filled=self._clock())
            self._entries[key_id] = entry
        entry.key, entry.seen = key, self._clock()
        return entry

    def _consume_token(self, entry: _CachedKey, key: ApiKey) -> None:
        """Take one token from a bucket that fills at the key's rate and holds a second's worth."""
        rate = key.requests_per_second
        if rate is None:
            return
        with entry.lock:
            now = self._clock()
            entry.tokens = min(max(rate, 1.0), entry.tokens + (now - entry.filled) * rate)
            entry.filled = now
            if entry.tokens < 1:
                raise QuotaExceeded(f"This key may make {rate:g} requests a second.")
            entry.tokens -= 1

    def _record_use(self, entry: _CachedKey, key_id: str) -> None:
        if self._clock() - entry.used_noted > 60:  # noqa: PLR2004 - a minute is exact enough
            entry.used_noted = self._clock()
            # A database that takes no changes may still be read by whoever has a key.
            with suppress(DatabaseDown):
                self._database.write(lambda c: record_use(c, key_id))


def record_refusal(error: DryBeansError, *, method: str, path: str, address: str | None) -> None:
    """Write down who was not let in; never what was shown."""
    fields = {"code": error.code, "method": method, "path": path, "address": address}
    log.warning("refused", extra=fields)
