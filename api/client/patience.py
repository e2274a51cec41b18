"""How long and how often a request is tried again."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from api.client.effects import Broken
from api.client.errors import Busy, Refused

IN_FLIGHT: Final = "idempotency_key_in_flight"
# Where the request was not even looked at, so that sending it again cannot do it twice.
_UNTOUCHED: Final = frozenset({"overloaded", "quota_exceeded"})
_UPLOAD_SECONDS: Final = 330.0
"""The service holds the key of an upload that broke off for up to 300 s, if it broke off itself."""

Failure: TypeAlias = Broken | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a request has cost: `tries` that failed, and `seconds` since the first of them."""

    tries: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Tries again for `seconds` after the first failure, and `tries` times at least.

    Pauses begin with `first` seconds and double up to `longest`, each with some chance in it; what
    the service asks for by Retry-After comes on top.
    """

    seconds: float = 60.0
    tries: int = 3
    first: float = 0.5
    longest: float = 15.0

    def pause(self, failure: Failure, spent: Spent, chance: float) -> float | None:
        """Return the seconds to wait before the next try, None to give up; `chance` is 0 to 1."""
        asked = failure.retry_after or 0.0 if isinstance(failure, Refused) else 0.0
        grown = min(self.longest, self.first * 2.0 ** min(spent.tries - 1, 16))
        pause = asked + grown * (0.5 + chance / 2)
        limit = self._limit(failure)
        if asked > limit:
            return None
        if spent.seconds + pause > limit and spent.tries >= self.tries:
            return None
        return pause

    def _limit(self, failure: Failure) -> float:
        in_flight = isinstance(failure, Refused) and failure.code == IN_FLIGHT
        return max(self.seconds, _UPLOAD_SECONDS) if in_flight else self.seconds


def may_repeat(failure: Failure, *, repeatable: bool) -> bool:
    """Return whether a request that failed so may be sent again, and whether it could help."""
    if isinstance(failure, Broken):
        return not failure.final and (repeatable or not failure.received)
    if failure.code == IN_FLIGHT:
        return True
    return isinstance(failure, Busy) and (repeatable or failure.code in _UNTOUCHED)
