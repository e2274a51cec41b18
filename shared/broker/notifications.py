"""Hints on Redis: workers tell which jobs have changed, and whoever waits for one hears it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from shared.domain.errors import QueueDown
from shared.domain.jobs import JobId

_CHANGED: Final = "drybeans:news"
_ENDED: Final = "drybeans:ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Jobs that have changed; `ended` says whether they have come to their end."""

    jobs: tuple[JobId, ...] = ()
    ended: bool = False


def publish_notification(redis: Redis, jobs: Iterable[JobId], *, ended: bool) -> None:
    """Tell all who listen that `jobs` have changed, or have ended."""
    redis.publish(_ENDED if ended else _CHANGED, " ".join(jobs))


class NotificationChannel:
    """Hears what workers tell."""

    def __init__(self, redis_url: str, *, quiet: float = 5.0) -> None:
        """Connect lazily to `redis_url`; after `quiet` seconds of silence ask whether it lives."""
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=1.0,
            socket_connect_timeout=0.5,
            decode_responses=True,
            health_check_interval=quiet,
        )

    def listen(self) -> Iterator[Notification]:
        """Return each hint, and an empty one at the beginning and now and then.

        Raises `QueueDown` when Redis does not answer.
        """
        try:
            with self._redis.pubsub(  # type: ignore[no-untyped-call]
                ignore_subscribe_messages=True
            ) as channel:
                channel.subscribe(_CHANGED, _ENDED)
                while True:
                    yield Notification()
                    message = channel.get_message(timeout=1.0)
                    if message is not None:
                        yield _parse_notification(message)
        except (RedisError, OSError) as error:
            raise QueueDown(f"Redis does not answer: {error}") from error


def _parse_notification(message: dict[str, Any]) -> Notification:
    jobs = tuple(JobId(job) for job in str(message["data"]).split())
    return Notification(jobs=jobs, ended=message["channel"] == _ENDED)
