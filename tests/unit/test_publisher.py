"""The publisher: requests hand over chunks and never wait for Redis."""

import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from api.background.publisher import Publisher
from shared.domain.chunks import Dispatch
from shared.domain.jobs import ChunkRef, JobId, Queue
from tests.fakes import FakeQueue
from tests.waiting import wait_for


def a_dispatch(seq: int = 0) -> Dispatch:
    """Make a chunk on its way to Redis."""
    return Dispatch(ref=ChunkRef(job=JobId("j"), seq=seq), queue=Queue.INTERACTIVE, row_count=1)


def a_publisher(publish: Callable[[Sequence[Dispatch]], int]) -> Publisher:
    """Start a publisher."""
    publisher = Publisher(publish)
    publisher.start()
    return publisher


def test_what_is_offered_is_published_in_order() -> None:
    """By the publisher's own thread."""
    queue, dispatches = FakeQueue(), [a_dispatch(seq) for seq in range(5)]
    publisher = a_publisher(queue.publish)

    publisher.enqueue(dispatches[:2])
    publisher.enqueue(dispatches[2:])

    wait_for(lambda: len(queue.published) == 5)
    assert queue.published == dispatches


def test_an_offer_does_not_wait_and_what_gathers_goes_out_together() -> None:
    """While Redis is slow, offers return at once and become one call."""
    gate, queue = threading.Event(), FakeQueue()

    def slow(dispatches: Sequence[Dispatch]) -> int:
        assert gate.wait(3600)
        return queue.publish(dispatches)

    publisher = a_publisher(slow)
    for seq in range(100):
        publisher.enqueue([a_dispatch(seq)])
    assert queue.published == []
    gate.set()

    wait_for(lambda: len(queue.published) == 100)
    assert queue.calls <= 2


def test_what_redis_does_not_take_is_left_to_the_sweep(caplog: pytest.LogCaptureFixture) -> None:
    """It is told once and not tried again; what comes later is published again."""
    queue = FakeQueue()
    queue.down = True
    publisher = a_publisher(queue.publish)
    publisher.enqueue([a_dispatch(0), a_dispatch(1)])
    wait_for(lambda: queue.calls == 1)

    queue.down = False
    publisher.enqueue([a_dispatch(2)])

    wait_for(lambda: bool(queue.published))
    assert [dispatch.ref.seq for dispatch in queue.published] == [2]
    (record,) = caplog.records
    assert (record.message, record.levelno) == ("publish_failed", logging.WARNING)


def test_a_bug_in_publishing_does_not_end_the_publisher(caplog: pytest.LogCaptureFixture) -> None:
    """Its thread goes on; the log has the traceback."""
    queue = FakeQueue()
    first = threading.Event()

    def broken_once(dispatches: Sequence[Dispatch]) -> int:
        if not first.is_set():
            first.set()
            raise ZeroDivisionError
        return queue.publish(dispatches)

    publisher = a_publisher(broken_once)
    publisher.enqueue([a_dispatch(0)])
    assert first.wait(3600)
    publisher.enqueue([a_dispatch(1)])

    wait_for(lambda: bool(queue.published))
    assert "ZeroDivisionError" in caplog.text


def test_what_waits_while_redis_is_down_is_bounded() -> None:
    """The oldest are dropped first; the sweep has them in the database."""
    entered, gate, queue = threading.Event(), threading.Event(), FakeQueue()

    def slow(dispatches: Sequence[Dispatch]) -> int:
        entered.set()
        assert gate.wait(3600)
        return queue.publish(dispatches)

    publisher = a_publisher(slow)
    publisher.enqueue([a_dispatch(-1)])
    assert entered.wait(3600)
    publisher.enqueue([a_dispatch(seq) for seq in range(30_000)])
    gate.set()

    wait_for(lambda: len(queue.published) > 1)
    assert [queue.published[n].ref.seq for n in (0, 1, -1)] == [-1, 10_000, 29_999]


def test_what_was_offered_before_the_end_is_still_published() -> None:
    """A restart does not leave the last jobs to the sweep."""
    queue = FakeQueue()
    publisher = a_publisher(queue.publish)

    publisher.enqueue([a_dispatch()])
    publisher.close()

    assert queue.published == [a_dispatch()]
