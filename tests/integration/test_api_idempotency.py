"""`Idempotency-Key`: the same request sent twice makes one job."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from shared.db.engine import Database
from shared.db.idempotency import forget_old_keys
from shared.db.tables import idempotency_keys, jobs
from shared.db.types import now
from shared.domain.chunks import Idempotency
from shared.domain.errors import KeyTaken
from tests.beans import a_csv
from tests.factories import a_submission, submit
from tests.service import Body, Service
from tests.working import BEAN

Start = Callable[..., Service]
KEY = {"Idempotency-Key": "order 4711"}


def post(service: Service, *, path: str = "/jobs", **body: Any) -> TestResponse:
    """POST a JSON job under the key."""
    return service.client.post(path, json={"instances": [BEAN], **body}, headers=KEY)


def count_jobs(service: Service) -> int:
    """Count what is stored."""
    count: int = service.database.read(lambda c: c.scalar(select(func.count()).select_from(jobs)))
    return count


def test_the_same_request_gives_the_same_job(service: Service) -> None:
    """The second time it says so, and makes nothing."""
    first, second = post(service), post(service)

    assert (first.status_code, second.status_code) == (202, 202)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert second.get_json()["id"] == first.get_json()["id"]
    assert count_jobs(service) == 1


def test_the_same_csv_gives_the_same_job(service: Service) -> None:
    """Its bytes are compared, however they are sent."""
    first = service.post("/jobs", a_csv(3), headers=KEY)
    second = service.post("/jobs", Body(a_csv(3).encode()), headers=KEY)

    assert first.get_json()["id"] == second.get_json()["id"]
    assert count_jobs(service) == 1


@pytest.mark.parametrize("other", [{"labels": {"a": "b"}}, {"path": "/jobs?model=drybeans@1"}])
def test_the_key_of_another_request_is_refused(service: Service, other: dict[str, Any]) -> None:
    """422: nobody is given a job that is not theirs to expect."""
    post(service)

    answer = post(service, **other)

    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert count_jobs(service) == 1


def test_a_first_request_still_in_flight_is_to_be_waited_for(start: Start) -> None:
    """409 and Retry-After while its body arrives, since nobody knows yet what it is."""
    service = start(chunk_bytes=100_000)
    text = a_csv(10_000).encode()
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        assert go_on.wait(30)

    parts = [text[at : at + 200_000] for at in range(0, len(text), 200_000)]
    body = Body(*parts[:-1], hold, parts[-1])
    client = service.client.application.test_client()

    def upload() -> None:
        environment = {"wsgi.input": body, "wsgi.input_terminated": True}
        headers = KEY | {"Content-Type": "text/csv", "Transfer-Encoding": "chunked"}
        client.post("/jobs", headers=headers, environ_overrides=environment)

    first = threading.Thread(target=upload)
    first.start()
    assert arrived.wait(30)
    second = service.post("/jobs", a_csv(3), headers=KEY)
    go_on.set()
    first.join()

    assert (second.status_code, second.get_json()["code"]) == (409, "idempotency_key_in_flight")
    assert second.headers["Retry-After"] == "1"


def test_of_requests_that_come_at_once_one_makes_the_job(service: Service) -> None:
    """The others are given it, or told to come again; the database lets no second one in."""
    ready = threading.Barrier(6)

    def send() -> TestResponse:
        client = service.client.application.test_client()
        ready.wait(30)
        return client.post("/jobs", json={"instances": [BEAN]}, headers=KEY)

    with ThreadPoolExecutor(6) as pool:
        answers = [sent.result() for sent in [pool.submit(send) for _ in range(6)]]

    accepted = {a.get_json()["id"] for a in answers if a.status_code == 202}
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(accepted) == count_jobs(service) == 1
    assert {(a.status_code, a.headers["Retry-After"]) for a in refused} <= {(409, "1")}


def test_a_group_with_a_key_twice_is_not_stored(database: Database) -> None:
    """By a unique index: neither a process nor a group of its own makes the second job."""
    key = Idempotency(key_hash="a" * 64, fingerprint="b" * 64)
    group = [replace(a_submission(), idempotency=key) for _ in range(2)]

    with pytest.raises(KeyTaken):
        submit(database, *group)

    assert database.read(lambda c: c.scalar(select(func.count()).select_from(jobs))) == 0


def test_a_key_is_kept_for_a_day(service: Service) -> None:
    """Then it may be used for another request."""
    day = timedelta(hours=24)
    first = post(service).get_json()["id"]

    def age(hours: float) -> int:
        old = update(idempotency_keys).values(created_at=now(-hours * 3600))
        service.database.write(lambda c: c.execute(old))
        return int(service.database.write(lambda c: forget_old_keys(c, day, 10)))

    assert age(23.9) == 0
    assert post(service).get_json()["id"] == first
    assert age(24.1) == 1
    assert post(service).get_json()["id"] != first


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
def test_a_key_that_cannot_be_is_refused(service: Service, key: str) -> None:
    """1 to 255 printable characters."""
    answer = service.client.post(
        "/jobs", json={"instances": [BEAN]}, headers={"Idempotency-Key": key}
    )

    assert (answer.status_code, answer.get_json()["code"]) == (422, "request_invalid")
    assert count_jobs(service) == 0
