"""Redis as drybeans uses it: messages that say which chunks wait, and nothing else.

The only module outside the worker's own that knows Celery.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import uuid4

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from shared.domain.chunks import Dispatch, MessageLimits, Trail, pack_messages
from shared.domain.errors import QueueDown
from shared.domain.jobs import ChunkRef, JobId, Queue

# Frozen: a worker of another release must understand a message, or leave it to the sweep.
RUN_TASK: Final = "drybeans.run.1"
# Messages that may wait in a queue: some seconds of work, and never more in Redis.
FULL: Final = 64
_EPOCH: Final = "drybeans:epoch"
_REQUESTS: Final = "drybeans_requests"
_TRACES: Final = "drybeans_traces"
_SHOWN: Final = 20
_NEWS: Final = "drybeans:news"
_WORKERS: Final = "drybeans:workers"
_REMEMBERED: Final = 900.0
_MOST_WORKERS: Final = 500

# A reason for each stands in docs/adr/0003.
_SHARED_OPTIONS: Final = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_backend": None,
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "task_default_queue": Queue.INTERACTIVE.value,
    "task_create_missing_queues": True,
    "enable_utc": True,
}
_PUBLISHER_OPTIONS: Final = {
    "task_publish_retry": False,
    "broker_connection_retry": False,
    "broker_pool_limit": 4,
    "broker_transport_options": {
        "socket_timeout": 1.0,
        "socket_connect_timeout": 0.5,
        "socket_keepalive": True,
        "retry_on_timeout": False,
        "max_retries": 0,
    },
}


def new_celery(name: str, redis_url: str, options: dict[str, Any]) -> Celery:
    """Make a Celery app on `redis_url` with the settings that both sides share."""
    app = Celery(name, broker=redis_url, set_as_current=False)
    app.conf.update(_SHARED_OPTIONS | options)
    return app


class MessageQueue:
    """Publishes messages, quickly or not at all: what it cannot publish, the sweep will."""

    def __init__(
        self, redis_url: str, limits: MessageLimits, *, pause: float = 5.0, full: int = FULL
    ) -> None:
        """Connect lazily to `redis_url`; stay silent for `pause` seconds after a failure.

        A queue in which `full` messages wait gets no more.
        """
        self._celery = new_celery("drybeans.publisher", redis_url, _PUBLISHER_OPTIONS)
        self._redis = Redis.from_url(
            redis_url, socket_timeout=1.0, socket_connect_timeout=0.5, decode_responses=True
        )
        self._limits = limits
        self._pause = pause
        self._full = full
        self._silent_until = 0.0

    def publish(self, dispatches: Iterable[Dispatch]) -> int:
        """Send messages for `dispatches` and count them.

        A queue that is full gets none: the sweep publishes the rest as workers make room. Raises
        `QueueDown` when Redis does not take messages, and for a while after that at once.
        """
        self._keep_silence()
        sent = 0
        room: dict[Queue, int] = {}
        dispatches = list(dispatches)
        trails = {dispatch.ref: dispatch.trail for dispatch in dispatches}
        for queue, refs in pack_messages(dispatches, self._limits):
            if queue not in room:
                room[queue] = self._full - self.waiting(queue)
            if room[queue] > 0:
                self._guard(partial(self._send, queue, [(ref, trails[ref]) for ref in refs]))
                room[queue] -= 1
                sent += 1
        return sent

    def _keep_silence(self) -> None:
        if time.monotonic() < self._silent_until:
            raise QueueDown

    def _send(self, queue: Queue, chunks: Sequence[tuple[ChunkRef, Trail]]) -> None:
        self._celery.send_task(
            RUN_TASK,
            args=[[[ref.job, ref.seq] for ref, _ in chunks]],
            queue=queue.value,
            retry=False,
            headers=_headers(chunks),
            argsrepr=_shown([ref for ref, _ in chunks]),
        )

    def _guard(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - Redis is loosely typed
        try:
            return call()
        except (OperationalError, RedisError, OSError) as error:
            self._silent_until = time.monotonic() + self._pause
            raise QueueDown(f"Redis does not answer: {error}") from error

    def waiting(self, queue: Queue) -> int:
        """Count the messages of `queue` that no worker has taken yet."""
        return int(self._guard(lambda: self._redis.llen(queue.value)))

    def tell(self, jobs: Iterable[JobId]) -> None:
        """Tell all who listen that `jobs` have changed; whoever misses it looks for itself."""
        self._keep_silence()
        self._guard(lambda: self._redis.publish(_NEWS, " ".join(jobs)))

    def ping(self) -> None:
        """Raise `QueueDown` unless Redis answers."""
        self._guard(self._redis.ping)

    def note_beat(self, worker: str) -> None:
        """Write down that `worker` takes messages; what is older than a quarter of an hour goes."""
        now = time.time()
        self._guard(lambda: self._redis.zadd(_WORKERS, {worker: now}))
        self._guard(lambda: self._redis.zremrangebyscore(_WORKERS, 0, now - _REMEMBERED))

    def forget_beats(self, worker: str) -> None:
        """Forget `worker`, which ends in good order: one that dies is remembered."""
        self._guard(lambda: self._redis.zrem(_WORKERS, worker))

    def beats(self) -> dict[str, float]:
        """Give when each worker last took messages, in seconds since 1970: the newest 500."""
        found = self._guard(
            lambda: self._redis.zrange(_WORKERS, 0, _MOST_WORKERS - 1, desc=True, withscores=True)
        )
        return {str(worker): float(moment) for worker, moment in found}

    def lost_memory(self) -> bool:
        """Say whether Redis has been emptied since it was last marked."""
        return not self._guard(lambda: self._redis.exists(_EPOCH))

    def mark_memory(self) -> None:
        """Mark Redis, once all that it may have lost is due to be published again."""
        self._guard(lambda: self._redis.set(_EPOCH, uuid4().hex))


class News:
    """Hears which jobs change, as workers tell it on Redis."""

    def __init__(self, redis_url: str, *, quiet: float = 5.0) -> None:
        """Connect lazily to `redis_url`; after `quiet` seconds of silence ask whether it lives."""
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=1.0,
            socket_connect_timeout=0.5,
            decode_responses=True,
            health_check_interval=quiet,
        )

    def listen(self) -> Iterator[list[JobId]]:
        """Give the jobs of each message, and none at the beginning and now and then.

        Raises `QueueDown` when Redis does not answer.
        """
        try:
            with self._redis.pubsub(  # type: ignore[no-untyped-call]
                ignore_subscribe_messages=True
            ) as channel:
                channel.subscribe(_NEWS)
                while True:
                    yield []
                    message = channel.get_message(timeout=1.0)
                    if message is not None:
                        yield [JobId(job) for job in str(message["data"]).split()]
        except (RedisError, OSError) as error:
            raise QueueDown(f"Redis does not answer: {error}") from error


def _headers(chunks: Sequence[tuple[ChunkRef, Trail]]) -> dict[str, list[str]]:
    """Write the trails of a message's jobs, in the order of its references.

    Beside the message and not in it: a worker may be of another release, and needs none of it.
    """
    trails = {ref.job: trail for ref, trail in chunks}
    return {
        name: values
        for name, values in (
            (_REQUESTS, [trail.request_id for trail in trails.values()]),
            (_TRACES, [trail.traceparent for trail in trails.values()]),
        )
        if any(values)
    }


def _shown(refs: Sequence[ChunkRef]) -> str:
    """Write what Flower shows of a message: its first chunks, and how many more."""
    words = [f"{ref.job}/{ref.seq}" for ref in refs[:_SHOWN]]
    more = len(refs) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def trails_of(refs: Sequence[ChunkRef], headers: Mapping[str, Any] | None) -> dict[JobId, Trail]:
    """Read the trail of each job of a message; without them, or with wrong ones, there is none."""
    given = headers or {}
    ids = list(dict.fromkeys(ref.job for ref in refs))
    requests, traces = (_texts(given.get(name), len(ids)) for name in (_REQUESTS, _TRACES))
    return {
        job: Trail(request_id=request_id, traceparent=traceparent)
        for job, request_id, traceparent in zip(ids, requests, traces, strict=True)
    }


def _texts(values: object, count: int) -> list[str]:
    if isinstance(values, list) and len(values) == count:
        return [value if isinstance(value, str) else "" for value in values]
    return [""] * count


def refs_of(message: Sequence[Sequence[Any]]) -> list[ChunkRef]:
    """Read a message's references back."""
    return [ChunkRef(job=JobId(str(job)), seq=int(seq)) for job, seq in message]
