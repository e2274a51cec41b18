"""Limits the requests per second of an API key, counted on Redis for all API processes."""

import logging
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

_REDIS_TIMEOUT: Final = 0.5
_FALLBACK_SECONDS: Final = 5.0
_MAX_WINDOW: Final = 10
"""Seconds in which a rate that is no whole number may be used up at once."""


class RateLimiter:
    """Counts requests in a sliding window on Redis, and in this process while Redis is down.

    A limit must not refuse clients because Redis is down, nor delay them: after a failure this
    process counts alone for some seconds before it tries Redis again.
    """

    def __init__(self, redis_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Connect to `redis_url` at first use."""
        shared = RedisStorage(
            redis_url,
            key_prefix="drybeans:rate",
            socket_connect_timeout=_REDIS_TIMEOUT,
            socket_timeout=_REDIS_TIMEOUT,
        )
        self._shared = SlidingWindowCounterRateLimiter(shared)
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._clock = clock
        self._local_until = float("-inf")

    def allows(self, key_id: str, rate: float) -> bool:
        """Count a request of `key_id` and return whether it is within `rate` a second."""
        item = _limit(rate)
        if self._clock() >= self._local_until:
            try:
                return self._shared.hit(item, key_id)
            except (RedisError, OSError) as error:
                self._local_until = self._clock() + _FALLBACK_SECONDS
                log.warning("requests_counted_locally", extra={"reason": str(error)})
        return self._local.hit(item, key_id)


def _limit(rate: float) -> RateLimitItem:
    """Return `rate` as a whole number of requests in a whole number of seconds."""
    if rate < 1:
        return RateLimitItemPerSecond(1, round(1 / rate))
    exact = Fraction(rate).limit_denominator(_MAX_WINDOW)
    return RateLimitItemPerSecond(exact.numerator, exact.denominator)
