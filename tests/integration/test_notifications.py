"""Workers tell on Redis which jobs have changed; it wakes who waits, and so does the next look."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.broker.client import MessageQueue
from shared.broker.notifications import Notification, NotificationChannel
from shared.domain.chunks import MessageLimits
from shared.domain.jobs import JobId
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN

LIMITS = MessageLimits(rows=10, chunks=10)


def test_what_a_worker_tells_is_heard(redis_url: str) -> None:
    """The jobs of a batch, together, and whether they go on or have ended."""
    heard: list[Notification] = []
    ready = threading.Event()

    def listen() -> None:
        for hint in NotificationChannel(redis_url).listen():
            ready.set()
            if hint.jobs:
                heard.append(hint)
            if len({hint.ended for hint in heard}) == 2:
                return

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait(3600)
    queue = MessageQueue(redis_url, LIMITS)
    one, two = JobId("one"), JobId("two")

    def told() -> bool:
        queue.notify([one, two], ended=False)
        queue.notify([two], ended=True)
        return not thread.is_alive()

    wait_for(told)

    assert set(heard) == {Notification(jobs=(one, two)), Notification(jobs=(two,), ended=True)}


def test_who_waits_is_woken_by_a_worker(start: Callable[..., Service]) -> None:
    """The service hears it once it has begun to listen."""
    service = start()
    wait_for(lambda: service.services.job_watcher.pubsub_healthy)
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


class FalseEnds:
    """Announces again and again that the newest job has ended, which is not true."""

    def __init__(self, service: Service, redis_url: str) -> None:
        self._service = service
        self._queue = MessageQueue(redis_url, LIMITS)
        self.announced = 0

    def announce(self) -> bool:
        """Announce the end of the newest job; return whether that was done often enough."""
        jobs = self._service.client.get("/jobs").get_json()["jobs"]
        if jobs:
            self._queue.notify([JobId(jobs[0]["id"])], ended=True)
            self.announced += 1
        time.sleep(0.01)
        return self.announced > 20


@pytest.mark.parametrize(
    "path, body",
    [
        pytest.param("/predict", {"data": [BEAN]}, id="predict"),
        pytest.param("/jobs", {"instances": [BEAN]}, id="wait"),
        pytest.param("/v1/models/drybeans:predict", {"instances": [BEAN]}, id="v1"),
    ],
)
def test_an_end_that_is_announced_and_not_true_ends_no_wait(
    start: Callable[..., Service], redis_url: str, path: str, body: dict[str, Any]
) -> None:
    """Anyone who reaches Redis can say so; the database decides, and the wait goes on."""
    service = start()
    wait_for(lambda: service.services.job_watcher.pubsub_healthy, 60)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(service.client.post, path, json=body, headers={"Prefer": "wait=30"})
        wait_for(FalseEnds(service, redis_url).announce, 60)
        assert not waits.done(), waits.result().text
        service.work_until(waits.done)

    assert waits.result().status_code == 200, waits.result().text
    assert waits.result().get_json().get("state", "succeeded") == "succeeded"


def test_events_go_on_after_an_end_that_was_not_true(
    start: Callable[..., Service], redis_url: str
) -> None:
    """The last event of a job is its true end."""
    service = start()
    wait_for(lambda: service.services.job_watcher.pubsub_healthy, 60)
    job = service.client.post("/jobs", json={"instances": [BEAN]}).get_json()
    with ThreadPoolExecutor(1) as pool:
        follows = pool.submit(lambda: service.client.get(job["links"]["events"]).text)
        wait_for(FalseEnds(service, redis_url).announce, 60)
        service.finish(job["id"])

    assert '"state":"succeeded"' in follows.result().rpartition("event: job")[2]
    assert follows.result().count("event: end") == 1
