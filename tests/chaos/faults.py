"""The faults: each takes the stage and chance, strikes, and leaves nothing held or frozen."""

import json
import os
import random
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import redis
from sqlalchemy import ColumnElement, select

from shared.db.tables import chunks
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import ChunkRef, ChunkState, JobId, Queue
from tests.chaos.parts import Part
from tests.chaos.stage import LEASE_SECONDS, Stage

_QUEUES: Final = [queue.value for queue in Queue]


@dataclass(slots=True)
class Strike:
    """What a fault works on: the stage, chance, and messages seen earlier."""

    stage: Stage
    chance: random.Random
    seen: deque[bytes] = field(default_factory=lambda: deque(maxlen=300))

    def pause(self, least: float, most: float) -> None:
        """Let some time pass."""
        time.sleep(self.chance.uniform(least, most))

    def worker(self) -> Part:
        """Pick a worker."""
        return self.chance.choice(self.stage.workers)

    def worker_in_a_batch(self) -> Part:
        """Pick a worker and wait until it is at a batch, so that the next blow lands in it."""
        worker = self.worker()
        self._await(lambda: bool(worker.batch()), seconds=4)
        return worker

    def await_end(self, refs: set[ChunkRef]) -> None:
        """Wait until none of these chunks is open, whoever finished them."""
        open_ = chunks.c.state.in_([ChunkState.PENDING, ChunkState.RUNNING])
        self._await(lambda: not refs & self._refs(open_), seconds=15)

    def _refs(self, which: ColumnElement[bool]) -> set[ChunkRef]:
        query = select(*chunks.c["job_id", "seq"]).where(which)
        with suppress(DatabaseDown):
            rows = self.stage.database.read(lambda c: c.execute(query).all())
            return {ChunkRef(job=JobId(row.job_id), seq=row.seq) for row in rows}
        return set()

    def _await(self, true: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not true():
            time.sleep(0.003)

    def note_messages(self) -> None:
        """Remember the messages that wait in Redis now."""
        with suppress(redis.RedisError):
            for queue in _QUEUES:
                for message in _messages(self.stage.redis, queue):
                    if message not in self.seen:
                        self.seen.append(message)


def _messages(client: "redis.Redis", queue: str) -> list[bytes]:
    found: Any = client.lrange(queue, 0, -1)
    return list(found)


def _worker_killed(strike: Strike) -> None:
    worker = strike.worker_in_a_batch()
    worker.send(signal.SIGKILL)


def _worker_main_killed(strike: Strike) -> None:
    worker = strike.worker_in_a_batch()
    worker.send_main(signal.SIGKILL)


def _pool_process_killed(strike: Strike) -> None:
    worker = strike.worker_in_a_batch()
    for child in worker.children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _worker_frozen(strike: Strike) -> None:
    worker = strike.worker_in_a_batch()
    worker.send(signal.SIGSTOP)
    held = worker.batch()
    # Its open BRPOP swallows the first message about its chunks; the second one goes elsewhere.
    strike.pause(LEASE_SECONDS + 3, LEASE_SECONDS + 7)
    if strike.chance.random() < 0.5:
        # It thaws when others have done its work; else perhaps while they are at it.
        strike.await_end(held)
    worker.send(signal.SIGCONT)


def _worker_terminated(strike: Strike) -> None:
    strike.worker().send_main(signal.SIGTERM)


def _api_killed(strike: Strike) -> None:
    strike.stage.api.send(signal.SIGKILL)


def _api_process_killed(strike: Strike) -> None:
    children = strike.stage.api.children()
    if children:
        with suppress(ProcessLookupError):
            os.kill(strike.chance.choice(children), signal.SIGKILL)


def _api_killed_before_publish(strike: Strike) -> None:
    # What is committed meanwhile cannot be published: the API dies with it in hand.
    strike.stage.redis_proxy.freeze()
    strike.pause(0.3, 0.9)
    strike.stage.api.send(signal.SIGKILL)
    strike.stage.redis_proxy.cut()
    strike.stage.redis_proxy.thaw()


def _api_reloaded(strike: Strike) -> None:
    strike.stage.api.send_main(signal.SIGHUP)


def _sweepers_killed(strike: Strike) -> None:
    for sweeper in strike.stage.sweepers:
        sweeper.send(signal.SIGKILL)


def _sweeper_frozen(strike: Strike) -> None:
    sweeper = strike.chance.choice(strike.stage.sweepers)
    sweeper.send(signal.SIGSTOP)
    strike.pause(2, 5)
    sweeper.send(signal.SIGCONT)


def _redis_killed(strike: Strike) -> None:
    stage = strike.stage
    stage.redis_server.kill()
    stage.redis_proxy.refuse()
    strike.pause(0.2, 4)
    stage.redis_server.start()
    stage.redis_proxy.accept()


def _redis_flushed(strike: Strike) -> None:
    strike.stage.redis.flushall()


def _redis_frozen(strike: Strike) -> None:
    strike.stage.redis_server.freeze()
    strike.pause(1, 5)
    strike.stage.redis_server.thaw()


def _redis_cut(strike: Strike) -> None:
    strike.stage.redis_proxy.cut()
    strike.stage.redis_proxy.cut_statements(strike.chance.randint(1, 4))
    strike.pause(1, 2)


def _database_killed(strike: Strike) -> None:
    stage = strike.stage
    stage.database_server.kill()
    stage.database_proxy.refuse()
    strike.pause(0.2, 3)
    stage.database_server.start()
    stage.database_proxy.accept()


def _database_cut(strike: Strike) -> None:
    for _ in range(strike.chance.randint(1, 5)):
        strike.stage.database_proxy.cut()
        strike.pause(0.02, 0.3)


def _database_half_statements(strike: Strike) -> None:
    strike.stage.database_proxy.cut_statements(strike.chance.randint(2, 8))
    strike.pause(1, 2)


def _database_commits_unheard(strike: Strike) -> None:
    strike.stage.database_proxy.lose_commit_answers(strike.chance.randint(3, 12))
    strike.pause(1, 2)


def _database_frozen(strike: Strike) -> None:
    strike.stage.database_proxy.freeze()
    strike.pause(1, 6)
    strike.stage.database_proxy.thaw()


def _messages_again(strike: Strike) -> None:
    """Send old messages again, and let those that wait change places."""
    client = strike.stage.redis
    strike.note_messages()
    copies = list(strike.seen)
    strike.chance.shuffle(copies)
    for queue in _QUEUES:
        waiting = _messages(client, queue)
        strike.chance.shuffle(waiting)
        again = [message for message in copies if _queue_of(message) == queue][:60]
        with client.pipeline() as change:
            for message in waiting:
                change.lrem(queue, 1, message.decode())
            for message in waiting + [_renamed(message) for message in again]:
                change.lpush(queue, message)
            change.execute()


def _queue_of(message: bytes) -> str:
    return str(json.loads(message)["properties"]["delivery_info"]["routing_key"])


def _renamed(message: bytes) -> bytes:
    # Celery tells messages apart by this tag; a second delivery would have another one too.
    document = json.loads(message)
    document["properties"]["delivery_tag"] = str(uuid4())
    return json.dumps(document).encode()


Fault = Callable[[Strike], None]

FAULTS: Final[dict[str, Fault]] = {
    "worker killed": _worker_killed,
    "worker's main process killed": _worker_main_killed,
    "pool process killed": _pool_process_killed,
    "worker frozen": _worker_frozen,
    "worker terminated": _worker_terminated,
    "API killed": _api_killed,
    "API process killed": _api_process_killed,
    "API killed before publish": _api_killed_before_publish,
    "API reloaded": _api_reloaded,
    "sweepers killed": _sweepers_killed,
    "sweeper frozen": _sweeper_frozen,
    "Redis killed": _redis_killed,
    "Redis flushed": _redis_flushed,
    "Redis frozen": _redis_frozen,
    "Redis connections cut": _redis_cut,
    "database killed": _database_killed,
    "database connections cut": _database_cut,
    "database statements cut in half": _database_half_statements,
    "database commits unheard": _database_commits_unheard,
    "database frozen": _database_frozen,
    "messages sent again, out of order": _messages_again,
}


def deal(chance: random.Random, names: Sequence[str], count: int) -> list[str]:
    """Deal `count` faults: each of `names` once before any comes again."""
    dealt: list[str] = []
    while len(dealt) < count:
        hand = list(names)
        chance.shuffle(hand)
        dealt += hand
    return dealt[:count]
