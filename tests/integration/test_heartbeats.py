"""Heartbeats on a real Redis: who reports, since when, and by which clock."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.broker.heartbeats import (
    HeartbeatStore,
    HeartbeatThread,
    ProcessHeartbeat,
    ProcessKind,
)
from shared.domain.errors import QueueDown
from shared.observability.heartbeat_file import HeartbeatFile
from tests.servers import RedisServer
from tests.waiting import wait_for


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client that looks behind the store."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def test_a_process_is_read_as_it_reported(redis_url: str) -> None:
    """Its kind, its own clock beside that of Redis, and whatever else it says of itself."""
    store = HeartbeatStore(redis_url)
    an_hour_ahead = store.clock() + 3600

    store.record("api-1@a", ProcessKind.API, {"models": ["m@1"]}, clock=an_hour_ahead)

    (found,) = store.read()
    assert (found.name, found.kind) == ("api-1@a", ProcessKind.API)
    assert found.details == {"models": ["m@1"]}
    assert found.clock == an_hour_ahead
    assert 0 <= found.age <= store.clock() - found.reported_at
    assert abs(found.clock - found.reported_at - 3600) <= store.clock() - found.reported_at + 1


def test_the_newest_report_of_a_process_counts(redis_url: str) -> None:
    """There is one for each process, and the newest processes come first."""
    store = HeartbeatStore(redis_url)
    for name in ("worker-1@a", "worker-2@a", "worker-1@a"):
        store.record(name, ProcessKind.WORKER, {})

    assert [heartbeat.name for heartbeat in store.read()] == ["worker-1@a", "worker-2@a"]


def test_who_ends_in_good_order_is_removed(redis_url: str) -> None:
    """Nobody shall look for it."""
    store = HeartbeatStore(redis_url)
    heartbeat = ProcessHeartbeat(kind=ProcessKind.SWEEPER, store=store)
    heartbeat.beat()
    assert [found.name for found in store.read()] == [heartbeat.name]

    heartbeat.end()

    assert store.read() == []


def test_who_died_long_ago_is_forgotten(redis: Redis, redis_url: str) -> None:
    """After a quarter of an hour, at the next report of anyone."""
    store = HeartbeatStore(redis_url)
    store.record("worker-1@a", ProcessKind.WORKER, {})
    redis.zadd("drybeans:heartbeats", {"worker-1@a": store.clock() - 901})

    store.record("worker-2@a", ProcessKind.WORKER, {})

    assert [heartbeat.name for heartbeat in store.read()] == ["worker-2@a"]
    assert list(redis.hgetall("drybeans:heartbeats:records")) == ["worker-2@a"]


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", "3", "{}", '{"kind":"toaster","clock":1}', '{"kind":"api"}']
)
def test_a_record_of_somebody_else_is_ignored(redis: Redis, redis_url: str, text: str) -> None:
    """A later release may report in another way; the doctor goes on."""
    store = HeartbeatStore(redis_url)
    store.record("api-1@a", ProcessKind.API, {})
    redis.zadd("drybeans:heartbeats", {"other": store.clock()})
    redis.hset("drybeans:heartbeats:records", "other", text)

    assert [heartbeat.name for heartbeat in store.read()] == ["api-1@a"]


def test_a_process_without_a_loop_reports_from_a_thread(redis_url: str) -> None:
    """Until it ends, which it reports too."""
    store = HeartbeatStore(redis_url)
    thread = HeartbeatThread(ProcessHeartbeat(kind=ProcessKind.API, store=store, interval=0.01))
    thread.start()
    wait_for(lambda: bool(store.read()), every=0.01)

    thread.stop()

    wait_for(lambda: not store.read(), every=0.01)


def test_without_redis_the_file_alone_shows_that_a_process_works(tmp_path: Path) -> None:
    """A report that cannot be stored stops nobody."""
    store = HeartbeatStore("redis://127.0.0.1:1/0")
    heartbeat = ProcessHeartbeat(
        kind=ProcessKind.SWEEPER, store=store, file=HeartbeatFile(tmp_path / "alive")
    )

    heartbeat.beat()
    heartbeat.end()

    assert (tmp_path / "alive").exists()
    with pytest.raises(QueueDown, match=r"^Redis does not answer: "):
        store.read()


def test_a_full_redis_says_why_it_takes_no_report(redis_server: RedisServer) -> None:
    """It answers, so nobody shall look for a Redis that is down."""
    store = HeartbeatStore(redis_server.url)
    with Redis.from_url(redis_server.url) as client:
        client.config_set("maxmemory", "1")

    with pytest.raises(QueueDown, match=r"^Redis refuses to write: .*maxmemory"):
        store.record("api-1@a", ProcessKind.API, {}, clock=time.time())
