"""Redis as drybeans uses it: messages that say which chunks wait, and nothing else."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from shared.broker import notifications as news
from shared.broker.celery_message import encode_message
from shared.domain.chunks import Dispatch, MessageLimits, pack_messages
from shared.domain.errors import QueueDown
from shared.domain.jobs import JobId, Queue

# Messages that may wait in a queue: some seconds of work, and never more in Redis.
MAX_QUEUE_LENGTH: Final = 64
_EPOCH: Final = "drybeans:epoch"
_PROBE: Final = "drybeans:probe"

# Kombu's workers take messages from the right of a list. One call to Redis for all of a queue.
_PUSH: Final = """
local room = math.min(#ARGV - 1, ARGV[1] - redis.call('LLEN', KEYS[1]))
for at = 2, room + 1 do
  redis.call('LPUSH', KEYS[1], ARGV[at])
end
return math.max(room, 0)
"""


def redis_failure(error: Exception) -> QueueDown:
    """Return the `QueueDown` that says what `error` of redis-py or a socket means."""
    if isinstance(error, ResponseError):
        # Full, read-only, or unable to write its disk.
        return QueueDown(f"Redis refuses to write: {error}")
    return QueueDown(f"Redis does not answer: {error}")


class MessageQueue:
    """Publishes messages, quickly or not at all: what it cannot publish, the sweep will."""

    def __init__(
        self,
        redis_url: str,
        limits: MessageLimits,
        *,
        pause: float = 5.0,
        full: int = MAX_QUEUE_LENGTH,
    ) -> None:
        """Connect lazily to `redis_url`; stay silent for `pause` seconds after a failure.

        A queue in which `full` messages wait gets no more.
        """
        self._redis = Redis.from_url(
            redis_url, socket_timeout=1.0, socket_connect_timeout=0.5, decode_responses=True
        )
        self._push = self._redis.register_script(_PUSH)
        self._limits = limits
        self._pause = pause
        self._full = full
        self._silent_until = 0.0

    def publish(self, dispatches: Iterable[Dispatch]) -> int:
        """Send messages for `dispatches` and count them.

        A queue that is full gets none: the sweep publishes the rest as workers make room. Raises
        `QueueDown` when Redis does not take messages, and for a while after that at once.
        """
        self._pause_after_failure()
        dispatches = list(dispatches)
        trails = {dispatch.ref: dispatch.trace for dispatch in dispatches}
        messages = defaultdict[Queue, list[bytes]](list)
        for queue, refs in pack_messages(dispatches, self._limits):
            messages[queue].append(encode_message(queue, [(ref, trails[ref]) for ref in refs]))
        return sum(self._send(queue, waiting) for queue, waiting in messages.items())

    def _pause_after_failure(self) -> None:
        if time.monotonic() < self._silent_until:
            raise QueueDown

    def _send(self, queue: Queue, messages: list[bytes]) -> int:
        push = partial(self._push, keys=[queue.value], args=[self._full, *messages])
        return int(self._guard(push))

    def _guard(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - Redis is loosely typed
        try:
            return call()
        except (RedisError, OSError) as error:
            self._silent_until = time.monotonic() + self._pause
            raise redis_failure(error) from error

    def queue_length(self, queue: Queue) -> int:
        """Count the messages of `queue` that no worker has taken yet."""
        return int(self._guard(lambda: self._redis.llen(queue.value)))

    def notify(self, jobs: Iterable[JobId], *, ended: bool) -> None:
        """Tell who listens that `jobs` have changed or ended; who misses it looks for itself."""
        self._pause_after_failure()
        self._guard(lambda: news.publish_notification(self._redis, jobs, ended=ended))

    def ping(self) -> None:
        """Raise `QueueDown` unless Redis answers."""
        self._guard(self._redis.ping)

    def check(self) -> None:
        """Raise `QueueDown` unless Redis takes messages: one that is full answers a PING too."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(_PROBE, 1)
            for queue in Queue:
                pipeline.llen(queue.value)
            self._guard(pipeline.execute)

    def was_emptied(self) -> bool:
        """Return whether Redis has been emptied since it was last marked."""
        return not self._guard(lambda: self._redis.exists(_EPOCH))

    def mark_epoch(self) -> None:
        """Mark Redis, once all that it may have lost is due to be published again."""
        self._guard(lambda: self._redis.set(_EPOCH, uuid4().hex))
