"""Faults of Redis: gone, empty, full, read-only, or with messages that nobody wrote."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from uuid import uuid4

from tests.chaos.faults.base import QUEUES, Registry, Strike, Target, fault, waiting_messages

FAULTS: Final[Registry] = {}
_redis = partial(fault, FAULTS, Target.REDIS)


@_redis("Redis killed", hold=(0.2, 4))
def _killed(strike: Strike) -> Iterator[None]:
    stage = strike.stage
    stage.redis_server.kill()
    stage.redis_proxy.refuse()
    yield
    stage.redis_server.start()
    stage.redis_proxy.accept()


@_redis("Redis flushed")
def _flushed(strike: Strike) -> Iterator[None]:
    strike.stage.redis.flushall()
    yield


@_redis("Redis frozen", hold=(1, 5))
def _frozen(strike: Strike) -> Iterator[None]:
    strike.stage.redis_server.freeze()
    yield
    strike.stage.redis_server.thaw()


@_redis("Redis connections cut", hold=(1, 2))
def _cut(strike: Strike) -> Iterator[None]:
    strike.stage.redis_proxy.cut()
    strike.stage.redis_proxy.cut_statements(strike.chance.randint(1, 4))
    yield


@_redis("Redis full", hold=(3, 8))
def _full(strike: Strike) -> Iterator[None]:
    client = strike.stage.redis
    client.config_set("maxmemory", 1)
    try:
        strike.require_progress("while Redis was full")
        yield
    finally:
        client.config_set("maxmemory", 0)


@_redis("Redis read-only", hold=(3, 8))
def _read_only(strike: Strike) -> Iterator[None]:
    """Make it the replica of a server that does not exist, as after a failover."""
    client: Any = strike.stage.redis
    client.config_set("replica-serve-stale-data", "yes")
    client.replicaof("127.0.0.1", "1")
    try:
        strike.require_progress("while Redis was read-only")
        yield
    finally:
        client.replicaof("NO", "ONE")


@_redis("Redis cannot save", hold=(3, 8))
def _cannot_save(strike: Strike) -> Iterator[None]:
    """Have its snapshots fail, so that it refuses writes (MISCONF)."""
    client = strike.stage.redis
    obstacle = strike.stage.redis_server.folder / "dump.rdb"
    # A file cannot be renamed to the name of a folder that holds something.
    obstacle.unlink(missing_ok=True)
    (obstacle / "full").mkdir(parents=True)
    client.config_set("save", "1 1")
    client.bgsave()
    try:
        strike.require_progress("while Redis could not save")
        yield
    finally:
        client.config_set("save", "")
        (obstacle / "full").rmdir()
        obstacle.rmdir()


@_redis("garbage in the queues", hold=(2, 4))
def _garbage(strike: Strike) -> Iterator[None]:
    """Put what no part of drybeans wrote where workers look for messages."""
    for queue in QUEUES:
        for message in _garbage_messages(queue):
            strike.stage.redis.lpush(queue, message)
    strike.require_progress("after garbage was put into the queues")
    yield


def _garbage_messages(queue: str) -> list[bytes]:
    """Return messages broken in the envelope, the headers, the body, and the references."""
    messages: list[object] = [{}, [], None, 7, "text", {"body": "e30="}]
    messages += [_message(queue, body) for body in ("", "!", "AAAA", "eyJ4Ijox")]
    messages += [_message(queue, body, headers={}) for body in ("W10=", "e30=")]
    wrong: list[object] = [None, 7, "x", [None], [[]], [["x"]], [["x", "y"]], [["\0", -1]], [{}]]
    messages += [_message(queue, [[references], {}, {}]) for references in wrong]
    messages.append(_message(queue, [[[]], {}, {}], headers={"task": "unknown.task"}))
    messages.append(_message(queue, [[[]], {}, {}], content_type="application/x-python-serialize"))
    raw = [b"", b"\xff\xfe\0garbage", b"{", b"[" * 5000, b"9" * 100_000]
    return raw + [json.dumps(message).encode() for message in messages]


def _message(
    queue: str,
    body: object,
    headers: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> dict[str, Any]:
    known = {"lang": "py", "task": "drybeans.run.1", "id": str(uuid4()), "retries": 0}
    encoded = isinstance(body, str)
    return {
        "body": body if encoded else json.dumps(body),
        "content-encoding": "utf-8",
        "content-type": content_type,
        "headers": known if headers is None else headers and known | headers,
        "properties": {
            "correlation_id": str(uuid4()),
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64" if encoded else None,
            "delivery_tag": str(uuid4()),
        },
    }


@_redis("messages sent again, out of order")
def _messages_again(strike: Strike) -> Iterator[None]:
    """Send old messages again, and let those that wait change places."""
    client = strike.stage.redis
    strike.note_messages()
    copies = [message for message in strike.seen if _queue_of(message)]
    strike.chance.shuffle(copies)
    for queue in QUEUES:
        waiting = waiting_messages(client, queue)
        strike.chance.shuffle(waiting)
        again = [message for message in copies if _queue_of(message) == queue][:60]
        with client.pipeline() as change:
            for message in waiting:
                change.lrem(queue, 1, message.decode())
            for message in waiting + [_renamed(message) for message in again]:
                change.lpush(queue, message)
            change.execute()
    yield


def _queue_of(message: bytes) -> str | None:
    """Return the queue of a message, None for garbage."""
    try:
        return str(json.loads(message)["properties"]["delivery_info"]["routing_key"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _renamed(message: bytes) -> bytes:
    # Celery tells messages apart by this tag; a second delivery would have another one too.
    document = json.loads(message)
    document["properties"]["delivery_tag"] = str(uuid4())
    return json.dumps(document).encode()
