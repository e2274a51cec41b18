"""Workers tell on Redis which jobs have changed; it wakes who waits, and so does the next look."""

import threading
from collections.abc import Callable

from shared.domain.chunks import MessageLimits
from shared.domain.jobs import JobId
from shared.news import Hint, News
from shared.queue import MessageQueue
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN

LIMITS = MessageLimits(rows=10, chunks=10)


def test_what_a_worker_tells_is_heard(redis_url: str) -> None:
    """The jobs of a batch, together, and whether they go on or have ended."""
    heard: list[Hint] = []
    ready = threading.Event()

    def listen() -> None:
        for hint in News(redis_url).listen():
            ready.set()
            if hint.jobs:
                heard.append(hint)
            if len({hint.ended for hint in heard}) == 2:
                return

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait(5)
    queue = MessageQueue(redis_url, LIMITS)
    one, two = JobId("one"), JobId("two")

    def told() -> bool:
        queue.tell([one, two], ended=False)
        queue.tell([two], ended=True)
        return not thread.is_alive()

    wait_for(told, 5)

    assert set(heard) == {Hint(jobs=(one, two)), Hint(jobs=(two,), ended=True)}


def test_who_waits_is_woken_by_a_worker(start: Callable[..., Service]) -> None:
    """The service hears it once it has begun to listen."""
    service = start()
    wait_for(lambda: service.services.waiter.told, 10)
    job = service.client.post("/jobs", json={"instances": [BEAN]}).get_json()["id"]
    worker = threading.Timer(0.3, lambda: service.finish(job))
    worker.start()

    answer = service.client.get(f"/jobs/{job}", headers={"Prefer": "wait=20"})

    worker.join()
    assert answer.get_json()["state"] == "succeeded"


def test_what_no_worker_tells_is_found_all_the_same(service: Service) -> None:
    """A job that is canceled, or of which the word was lost, is looked at in its turn."""
    job = service.client.post("/jobs", json={"instances": [BEAN]}).get_json()["id"]
    cancel = threading.Timer(0.3, lambda: service.client.post(f"/jobs/{job}/cancel"))
    cancel.start()

    answer = service.client.get(f"/jobs/{job}", headers={"Prefer": "wait=20"})

    cancel.join()
    assert answer.get_json()["state"] == "canceled"
