"""Who calls: API keys, their quotas, and the record of refusals."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from api.background.batch_loader import BatchLoader
from api.http.rate_limit import RateLimiter
from shared.db.api_keys import queued_rows, read_api_keys, record_use
from shared.db.clock import database_clock
from shared.db.engine import Database
from shared.domain.errors import DatabaseDown, DryBeansError, KeyMissing, KeyWrong, QuotaExceeded
from shared.domain.keys import ApiKey, parse_key

log = logging.getLogger(__name__)

_CACHE_SECONDS: Final = 5.0
"""Seconds for which a key is believed to be as it was: a revocation takes this long at most."""
_MAX_UNKNOWN: Final = 10_000
"""Ids without a key that are remembered, so that a client that repeats one costs no query."""
_RECORD_USE_SECONDS: Final = 60.0


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
    """A key that exists, when it was read, its queued rows, and when its use was recorded."""

    key: ApiKey
    read_at: float
    rows: int = 0
    rows_read_at: float = float("-inf")
    use_recorded_at: float = float("-inf")


class KeyAuthenticator:
    """Lets in who shows a valid key, as often as its quota allows."""

    def __init__(
        self,
        database: Database,
        rate_limiter: RateLimiter,
        clock: Callable[[], float] = time.monotonic,
        max_unknown: int = _MAX_UNKNOWN,
    ) -> None:
        """Read keys from `database`, each at most once in some seconds.

        `max_unknown` ids without a key are remembered as well.
        """
        self._max_unknown = max_unknown
        self._database = database
        self._rate_limiter = rate_limiter
        self._clock = clock
        self._now = database_clock(database)
        self._keys: dict[str, _CachedKey] = {}
        # Apart from the keys that exist: made-up ids must not evict them.
        self._unknown: dict[str, float] = {}
        # However many ids are looked up at once, they cost one query at a time.
        self._load_key = BatchLoader[str, ApiKey](
            lambda ids: database.read(lambda c: read_api_keys(c, ids))
        )

    def authenticate(self, authorization: str | None, /) -> Caller:
        """Return whose key it is. Raises `KeyMissing`, `KeyWrong` and `QuotaExceeded`."""
        scheme, _, text = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise KeyMissing
        parts = parse_key(text.strip())
        entry = self._find(parts[0]) if parts else None
        if parts is None or entry is None or not entry.key.admits(parts[1], self._now()):
            raise KeyWrong
        key = entry.key
        rate = key.requests_per_second
        if rate is not None and not self._rate_limiter.allows(key.id, rate):
            raise QuotaExceeded(f"This key may make {rate:g} requests a second.")
        self._record_use(entry)
        return Caller(owner=key.id, row_quota=key.queued_rows)

    def check_rows(self, caller: Caller, /) -> None:
        """Raise `QuotaExceeded` when the key has as many rows waiting as it may.

        A cheap refusal before a body is read, by a count of up to a second ago: the transaction
        that stores the rows decides (`shared.db.row_quota`).
        """
        entry = self._keys.get(caller.owner)
        quota = caller.row_quota
        if entry is None or quota is None:
            return
        if self._clock() - entry.rows_read_at > 1:
            entry.rows_read_at = self._clock()
            entry.rows = self._database.read(lambda c: queued_rows(c, caller.owner))
        if entry.rows >= quota:
            raise QuotaExceeded(f"The row quota of this API key is {quota}: {entry.rows} queued.")

    def _find(self, key_id: str) -> _CachedKey | None:
        """Return the key `key_id` as it was some seconds ago at most, None if there is none."""
        entry = self._keys.get(key_id)
        if entry is not None and self._clock() - entry.read_at < _CACHE_SECONDS:
            return entry
        if self._clock() - self._unknown.get(key_id, float("-inf")) < _CACHE_SECONDS:
            return None
        key = self._load_key(key_id)
        if key is None:
            self._keys.pop(key_id, None)
            if len(self._unknown) >= self._max_unknown:
                self._unknown.clear()
            self._unknown[key_id] = self._clock()
            return None
        entry = self._keys.setdefault(key_id, _CachedKey(key, self._clock()))
        entry.key, entry.read_at = key, self._clock()
        return entry

    def _record_use(self, entry: _CachedKey) -> None:
        if self._clock() - entry.use_recorded_at > _RECORD_USE_SECONDS:
            entry.use_recorded_at = self._clock()
            # A database that takes no changes may still be read by whoever has a key.
            with suppress(DatabaseDown):
                self._database.write(lambda c: record_use(c, entry.key.id))


def record_refusal(error: DryBeansError, *, method: str, path: str, address: str | None) -> None:
    """Write down who was not let in; never what was shown."""
    fields = {"code": error.code, "method": method, "path": path, "address": address}
    log.warning("refused", extra=fields)
