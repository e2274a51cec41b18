"""Messages on a real Redis: published quickly or not at all, and nothing but references."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
import pytest
from celery import Celery
from redis import Redis

from shared.broker.celery_message import RUN_TASK, refs_of, trace_contexts_of
from shared.broker.client import MessageQueue
from shared.domain.chunks import Dispatch, MessageLimits, TraceContext
from shared.domain.errors import QueueDown
from shared.domain.jobs import ChunkRef, JobId, Queue
from tests.servers import RedisServer

LIMITS = MessageLimits(rows=100, chunks=3)


def a_dispatch(seq: int = 0, queue: Queue = Queue.INTERACTIVE) -> Dispatch:
    """Make a chunk on its way to Redis."""
    ref = ChunkRef(job=JobId("0190a0b0-0000-7000-8000-000000000000"), seq=seq)
    return Dispatch(ref=ref, queue=queue, row_count=1)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client that looks behind the queue."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def messages(redis: Redis, queue: Queue = Queue.INTERACTIVE) -> list[dict[str, Any]]:
    """Read the messages of `queue`, oldest first, as they lie in Redis."""
    raw: Any = redis.lrange(queue.value, 0, -1)
    return [orjson.loads(message) for message in reversed(raw)]


def arguments(message: dict[str, Any]) -> Any:
    """Read what a message hands to the task."""
    return orjson.loads(b64decode(message["body"]))[0]


def test_a_message_carries_references_and_nothing_else(redis: Redis, redis_url: str) -> None:
    """JSON, the frozen name of the task, and what a worker reads back as the same chunks."""
    queue = MessageQueue(redis_url, LIMITS)

    assert queue.publish([a_dispatch(0), a_dispatch(1)]) == 1

    (message,) = messages(redis)
    assert message["content-type"] == "application/json"
    assert message["headers"]["task"] == RUN_TASK == "drybeans.run.1"
    assert [refs_of(argument) for argument in arguments(message)] == [
        [a_dispatch(0).ref, a_dispatch(1).ref]
    ]


def _kinds(value: Any) -> Any:
    """Return the shape of a JSON value: its keys, and the types of what is at them."""
    if isinstance(value, dict):
        return {key: _kinds(inner) for key, inner in value.items()}
    return [_kinds(inner) for inner in value] if isinstance(value, list) else type(value)


def test_a_message_is_what_celery_itself_would_write(redis: Redis, redis_url: str) -> None:
    """Every member of its envelope, head and body; ids differ, and what Celery adds twice."""
    reference = a_dispatch(0).ref
    app = Celery(broker=redis_url, set_as_current=False)
    app.conf.task_ignore_result = True
    with app:
        app.send_task(
            RUN_TASK, args=[[[reference.job, 0]]], queue="interactive", argsrepr="-", retry=False,
            ignore_result=True,
        )  # fmt: skip
    MessageQueue(redis_url, LIMITS).publish([a_dispatch(0)])

    celerys, ours = messages(redis)

    assert orjson.loads(b64decode(ours["body"])) == orjson.loads(b64decode(celerys["body"]))
    del celerys["properties"]["argsrepr"]
    assert _kinds(ours) == _kinds(celerys)
    same = ("content-encoding", "content-type")
    assert [ours[name] for name in same] == [celerys[name] for name in same]
    for part, own in (
        ("headers", {"id", "root_id", "origin", "argsrepr"}),
        ("properties", {"correlation_id", "reply_to", "delivery_tag"}),
    ):
        assert {k: v for k, v in ours[part].items() if k not in own} == {
            k: v for k, v in celerys[part].items() if k not in own
        }


def a_chunk(number: int) -> Dispatch:
    """Make a job's only chunk, which came with a request of the same number."""
    ref = ChunkRef(job=JobId(f"0190a0b0-0000-7000-8000-{number:012}"), seq=0)
    trail = TraceContext(request_id=f"request-{number}")
    return Dispatch(ref=ref, queue=Queue.INTERACTIVE, row_count=1, trace=trail)


def test_the_requests_of_a_message_travel_beside_it(redis: Redis, redis_url: str) -> None:
    """In its headers, so that the message itself stays what every release understands."""
    queue = MessageQueue(redis_url, MessageLimits(rows=100, chunks=100))

    queue.publish([a_chunk(1), a_chunk(2)])

    (message,) = messages(redis)
    (argument,) = arguments(message)
    refs = refs_of(argument)
    assert refs == [a_chunk(1).ref, a_chunk(2).ref]
    trails = trace_contexts_of(refs, message["headers"])
    assert [trails[ref.job].request_id for ref in refs] == ["request-1", "request-2"]


@pytest.mark.parametrize(
    "headers", [None, {}, {"drybeans_requests": ["one"]}, {"drybeans_requests": "xy"}]
)
def test_a_message_without_its_requests_is_as_good(headers: dict[str, Any] | None) -> None:
    """The sweep does not know them, and another release may write other ones."""
    refs = [a_chunk(1).ref, a_chunk(2).ref]

    assert trace_contexts_of(refs, headers) == {ref.job: TraceContext() for ref in refs}


def test_flower_is_shown_the_first_chunks_of_a_message(redis: Redis, redis_url: str) -> None:
    """By job and number, and how many more there are; the whole list would be kilobytes."""
    queue = MessageQueue(redis_url, MessageLimits(rows=100, chunks=100))
    some = [a_chunk(number) for number in range(25)]

    queue.publish(some)

    (message,) = messages(redis)
    shown = message["headers"]["argsrepr"]
    assert shown.startswith(f"{some[0].ref.job}/0, {some[1].ref.job}/0, ")
    assert shown.endswith(f"{some[19].ref.job}/0 and 5 more")


def test_messages_wait_in_the_queue_of_their_chunks(redis_url: str) -> None:
    """Small jobs and large ones apart; each is counted alone."""
    queue = MessageQueue(redis_url, LIMITS)

    queue.publish([a_dispatch(seq) for seq in range(7)] + [a_dispatch(0, Queue.BULK)])

    assert queue.queue_length(Queue.INTERACTIVE) == 3
    assert queue.queue_length(Queue.BULK) == 1


def test_a_full_queue_gets_no_more(redis_url: str) -> None:
    """What is left out stays in the database for the sweep; Redis stays small."""
    queue = MessageQueue(redis_url, MessageLimits(rows=1, chunks=1), full=3)

    sent = queue.publish([a_dispatch(seq) for seq in range(5)] + [a_dispatch(0, Queue.BULK)])

    assert sent == 4
    assert queue.queue_length(Queue.INTERACTIVE) == 3
    assert queue.publish([a_dispatch(9)]) == 0


def test_nothing_to_publish_is_no_message(redis_url: str) -> None:
    """Not even an empty one."""
    queue = MessageQueue(redis_url, LIMITS)

    assert queue.publish([]) == 0
    assert queue.queue_length(Queue.INTERACTIVE) == 0


def test_a_redis_that_was_emptied_is_noticed_until_it_is_marked(
    redis: Redis, redis_url: str
) -> None:
    """Any sweeper sees it; only after its chunks are due again is it marked."""
    one, two = MessageQueue(redis_url, LIMITS), MessageQueue(redis_url, LIMITS)
    assert one.was_emptied()
    assert two.was_emptied()

    one.mark_epoch()
    assert not one.was_emptied()
    assert not two.was_emptied()

    redis.flushall()
    assert two.was_emptied()


def assert_down(call: Callable[[], Any]) -> None:
    """Make a call that must fail because Redis does not answer."""
    with pytest.raises(QueueDown, match="Redis does not answer"):
        call()


CALLS: dict[str, Callable[[MessageQueue], Any]] = {
    "publish": lambda queue: queue.publish([a_dispatch()]),
    "waiting": lambda queue: queue.queue_length(Queue.BULK),
    "ping": lambda queue: queue.ping(),
    "lost_memory": lambda queue: queue.was_emptied(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_redis_that_hangs_is_given_up_soon(redis_server: RedisServer, call: str) -> None:
    """Connected before or not, and while it still hangs."""
    fresh = MessageQueue(redis_server.url, LIMITS, pause=0.0)
    used = MessageQueue(redis_server.url, LIMITS, pause=0.0)
    CALLS[call](used)
    redis_server.freeze()

    try:
        for queue in (fresh, used):
            assert_down(partial(CALLS[call], queue))
    finally:
        redis_server.thaw()


@pytest.mark.parametrize("call", CALLS)
def test_a_redis_that_is_gone_is_told(redis_server: RedisServer, call: str) -> None:
    """A refused connection is not tried again and again."""
    queue = MessageQueue(redis_server.url, LIMITS)
    CALLS[call](queue)
    redis_server.kill()

    assert_down(lambda: CALLS[call](queue))


def test_after_a_failure_nobody_waits_for_a_while(redis_server: RedisServer) -> None:
    """A hanging Redis costs one time-out and not one for each group of jobs."""
    queue = MessageQueue(redis_server.url, LIMITS, pause=36_000.0)
    redis_server.freeze()
    try:
        assert_down(queue.ping)
    finally:
        redis_server.thaw()
    # It would answer now, but nobody asks it.
    with pytest.raises(QueueDown):
        queue.publish([a_dispatch()])
    with pytest.raises(QueueDown):
        queue.notify([a_dispatch().ref.job], ended=False)


def test_a_redis_that_is_back_is_used_again(redis_server: RedisServer) -> None:
    """After the pause, by itself, also over connections that had died."""
    queue = MessageQueue(redis_server.url, LIMITS, pause=0.1)
    queue.publish([a_dispatch()])
    redis_server.kill()
    assert_down(lambda: queue.publish([a_dispatch()]))
    redis_server.start()
    time.sleep(0.15)

    assert queue.publish([a_dispatch()]) == 1
    assert queue.queue_length(Queue.INTERACTIVE) == 1


def test_a_full_memory_is_an_outage_like_any_other(redis_server: RedisServer) -> None:
    """Redis refuses to write and evicts nothing; the sweep publishes later."""
    queue = MessageQueue(redis_server.url, LIMITS)
    with Redis.from_url(redis_server.url) as client:
        client.config_set("maxmemory", "1")

        with pytest.raises(QueueDown):
            queue.publish([a_dispatch()])
