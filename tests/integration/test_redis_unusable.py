"""A Redis that is full, read-only, misconfigured or away, and queues full of garbage.

The worker is a process of its own: what is tried here once ended its main process, with code 0.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from shared.broker.celery_message import encode_message
from shared.broker.client import MessageQueue
from shared.domain.chunks import NO_TRACE
from shared.domain.errors import QueueDown
from shared.domain.jobs import ChunkRef, JobId, Queue
from tests.servers import RedisServer
from tests.service import Service
from tests.waiting import wait_for
from tests.worker_process import WorkerProcess
from tests.working import BEAN
from worker.models.loader import ModelLoader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["sqlite", "mysql"], indirect=True),
]
_PATIENCE: Final = 300.0
_READY: Final = " ready."


@pytest.fixture
def service(database_url: str, redis_server: RedisServer, models: ModelLoader) -> Iterator[Service]:
    """The API on a Redis of this test alone."""
    made = Service(database_url, redis_server.url, models=models, republish_seconds=1.0)
    yield made
    made.stop()


@pytest.fixture
def worker(database_url: str, redis_server: RedisServer, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A worker process on the same database and Redis."""
    settings = {
        "DRYBEANS_DATABASE_URL": database_url,
        "DRYBEANS_REDIS_URL": redis_server.url,
        "DRYBEANS_REPUBLISH_SECONDS": "1",
    }
    with WorkerProcess(tmp_path, settings) as running:
        yield running


def fill(server: RedisServer) -> None:
    """Leave no memory for anything new."""
    with Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")


def make_read_only(server: RedisServer) -> None:
    """Make it the replica of a server that is not there."""
    with Redis.from_url(server.url) as client:
        client.replicaof("127.0.0.1", 1)


def break_its_disk(server: RedisServer) -> None:
    """Let it fail to save: it then refuses to write (MISCONF)."""
    shutil.rmtree(server.folder)
    with Redis.from_url(server.url) as client:
        client.config_set("save", "3600 1")
        client.set("x", "y")

        def refuses() -> bool:
            try:
                client.bgsave()
                client.set("x", "y")
            except ResponseError as error:
                return "MISCONF" in str(error)
            return False

        wait_for(refuses, _PATIENCE, every=0.1)


def spoil_queues(server: RedisServer) -> None:
    """Put something else where the queues are."""
    with Redis.from_url(server.url) as client:
        for queue in Queue:
            client.set(queue.value, "x")


FAULTS: Final = [
    pytest.param(fill, id="full"),
    pytest.param(make_read_only, id="read-only"),
    pytest.param(break_its_disk, id="misconf"),
    pytest.param(spoil_queues, id="wrong type"),
    pytest.param(RedisServer.kill, id="away"),
    pytest.param(RedisServer.freeze, id="frozen"),
]


def run_bean(service: Service) -> None:
    """Submit a bean, which is accepted, and wait until the worker process has labelled it."""
    answer = service.client.post("/jobs", json={"instances": [BEAN]})
    assert answer.status_code == 202, answer.text
    job = JobId(answer.get_json()["id"])
    wait_for(lambda: service.job(job)["state"] == "succeeded", _PATIENCE, every=0.2)
    assert service.labels(service.job(job)) == ["DERMASON"]


@pytest.mark.parametrize("fault", FAULTS)
def test_jobs_go_on_while_redis_is_unusable(
    service: Service,
    worker: WorkerProcess,
    redis_server: RedisServer,
    fault: Callable[[RedisServer], None],
) -> None:
    """Accepted as ever, read from the database by a worker that was running, without a sweeper."""
    worker.wait_until_it_says(_READY)
    fault(redis_server)
    with pytest.raises(QueueDown):
        MessageQueue(redis_server.url, service.settings.message_limits).check()

    run_bean(service)
    run_bean(service)

    assert worker.process.poll() is None
    assert worker.said().count("database_polling_starts") == 1
    assert worker.stop() == 0, worker.said()[-5000:]
    # One that cannot save does not end in good order.
    redis_server.kill()


@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[4]])
def test_a_worker_starts_while_redis_is_unusable(
    request: pytest.FixtureRequest,
    service: Service,
    redis_server: RedisServer,
    fault: Callable[[RedisServer], None],
) -> None:
    """And takes messages as soon as they can be taken again."""
    fault(redis_server)
    worker: WorkerProcess = request.getfixturevalue("worker")

    run_bean(service)

    if fault is fill:
        with Redis.from_url(redis_server.url) as client:
            client.config_set("maxmemory", "0")
    else:
        redis_server.start()
    worker.wait_until_it_says("database_polling_ends")
    worker.wait_until_it_says(_READY)
    run_bean(service)
    assert worker.stop() == 0


def test_garbage_in_the_queues_ends_no_worker(
    service: Service, worker: WorkerProcess, redis_server: RedisServer
) -> None:
    """Each piece is dropped, and the messages behind it are run."""
    worker.wait_until_it_says(_READY)
    pieces = garbage()
    with Redis.from_url(redis_server.url) as client:
        for queue in Queue:
            # More of each than a worker may have in hand: none of it counts as being worked on.
            client.lpush(queue.value, *pieces, *pieces, *pieces)
        wait_for(lambda: not any(client.llen(queue.value) for queue in Queue), _PATIENCE, every=0.1)

    run_bean(service)

    assert worker.process.poll() is None
    assert "database_polling_starts" not in worker.said()
    assert "Unrecoverable" not in worker.said()
    assert worker.stop() == 0


def garbage() -> list[bytes]:
    """Return what does not belong into a queue: bytes, JSON, and messages of every wrong shape."""
    good = encode_message(Queue.BULK, [(ChunkRef(job=JobId("x"), seq=0), NO_TRACE)])
    envelope: dict[str, Any] = orjson.loads(good)

    def changed(part: str, **values: Any) -> bytes:
        return orjson.dumps(envelope | {part: envelope[part] | values})

    def with_arguments(*arguments: Any) -> bytes:
        body = orjson.dumps([arguments, {}, {}])
        return orjson.dumps(
            envelope
            | {"body": body.decode(), "properties": envelope["properties"] | {"body_encoding": ""}}
        )

    names: list[Any] = ["another.task", None, 7, [], {}]
    arguments: list[Any] = [[], [1], ["text"], [[]], [[1]], [[["x"]]], [{}, {}]]
    shapes: list[Any] = [None, 0, "text", [], [1, 2], {}, {"body": 1}, {"properties": {}}]
    return [
        *(b"", b"\x00\xff\xfe", os.urandom(1000), b"x" * 5_000_000, b"[" * 100_000, good[:-10]),
        *(orjson.dumps(shape) for shape in shapes),
        *(orjson.dumps(envelope | {name: None}) for name in envelope),
        *(orjson.dumps({k: v for k, v in envelope.items() if k != name}) for name in envelope),
        *(changed("headers", task=task) for task in names),
        *(changed("headers", **{name: [{}]}) for name in envelope["headers"]),
        *(changed("headers", **{name: "x" * 10_000}) for name in envelope["headers"]),
        *(changed("properties", **{name: {}}) for name in envelope["properties"]),
        orjson.dumps(envelope | {"body": "?" * 1000}),
        orjson.dumps(envelope | {"content-type": "application/x-python-serialize"}),
        orjson.dumps(envelope | {"content-encoding": "martian"}),
        changed("headers", compression="application/x-gzip"),
        *(with_arguments(*some) for some in arguments),
        with_arguments([["x" * 1000, 2**63 - 1]]),
        with_arguments([["x", -1]] * 10_000),
    ]


def test_a_worker_that_is_ended_the_hard_way_exits_with_an_error(worker: WorkerProcess) -> None:
    """Only who is told to stop by SIGTERM or SIGINT has ended well."""
    worker.wait_until_it_says(_READY)

    worker.process.send_signal(signal.SIGQUIT)

    assert worker.process.wait(_PATIENCE) != 0
