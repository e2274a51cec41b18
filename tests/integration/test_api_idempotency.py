"""`Idempotency-Key`: the same request sent twice makes one job."""

import gzip
import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import func, select, update
from werkzeug.datastructures import FileMultiDict, MultiDict
from werkzeug.test import TestResponse, encode_multipart

from api.openapi.components import CSV_SAMPLE
from shared.db.engine import Database
from shared.db.idempotency import delete_old_keys
from shared.db.schema import idempotency_keys, jobs
from shared.db.types import now
from shared.domain.chunks import Idempotency
from shared.domain.errors import KeyTaken
from shared.zstd import compress
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


ROW = [*BEAN[:-1], 1]
FORM = {name: str(value) for name, value in (("model", "drybeans"), ("max_errors", 5))}


def as_json(text: str, path: str = "/jobs", **headers: str) -> dict[str, Any]:
    """Return a request with `text` as its body."""
    kinds = {"Content-Type": "application/json"} | headers
    return {"path": path, "data": text.encode(), "headers": KEY | kinds}


def with_labels(text: str) -> str:
    """Return a JSON job of two rows with two labels, written as `text` says."""
    return text.replace("ROW", json.dumps(ROW)).replace("NAMED", json.dumps(named()))


def named() -> dict[str, float]:
    """Return the row by feature name, last name first."""
    names = CSV_SAMPLE.partition("\n")[0].split(",")
    return dict(reversed([*zip(names, ROW, strict=True)]))


SPELLINGS: dict[str, list[dict[str, Any]]] = {
    "json": [
        as_json(with_labels('{"instances": [ROW, NAMED], "labels": {"a": "1", "b": "2"}}')),
        as_json(with_labels('{"labels":{"b":"2","a":"1"},\n"instances" :\t[ROW,NAMED]}')),
        as_json(
            with_labels('{"instances":[ROW,NAMED],"labels":{"a":"1","b":"2"}}')
            .replace("33958.0", "33958")
            .replace(" 1]", "1.0]")
            .replace("0.74", "7.40e-1")
        ),
        as_json(
            with_labels('{"instances":[ROW,NAMED]}'), "/jobs/?label.b=2&label.a=1",
            **{"Content-Type": "application/json; charset=utf-8"},
        ),
        as_json(
            with_labels(
                '{"instances":[ROW,NAMED],"labels":{"a":"1","b":"\\u0032"},"outputs":["label"],'
                '"webhook":null,"validate_only":false}'
            )
        ),
    ],
}  # fmt: skip


def csv_spellings() -> list[dict[str, Any]]:
    """Return one CSV with two options in every way of sending it."""
    data = a_csv(3).encode()
    query = "/jobs?model=drybeans&max_errors=5"
    plain = KEY | {"Content-Type": "text/csv"}

    def form(boundary: str, name: str) -> dict[str, Any]:
        files = FileMultiDict()
        files.add_file("file", BytesIO(data), name)
        values = MultiDict([*FORM.items(), *files.items()])
        _, body = encode_multipart(values, boundary=boundary)
        kind = f"multipart/form-data; boundary={boundary}"
        return {"path": "/jobs", "data": body, "headers": KEY | {"Content-Type": kind}}

    return [
        {"path": query, "data": data, "headers": plain},
        {"path": "/jobs/?max_errors=05&model=drybeans&on_error=continue", "data": data,
         "headers": KEY | {"Content-Type": "text/csv; charset=utf-8; header=present"}},
        {"path": query, "data": gzip.compress(data, 1, mtime=1),
         "headers": plain | {"Content-Encoding": "gzip"}},
        {"path": query, "data": gzip.compress(data, 9, mtime=2),
         "headers": plain | {"Content-Encoding": "gzip"}},
        {"path": query, "data": compress(data), "headers": plain | {"Content-Encoding": "zstd"}},
        form("one", "beans.csv"),
        form("two", "other.csv"),
    ]  # fmt: skip


SPELLINGS["csv"] = csv_spellings()


def send(service: Service, request: dict[str, Any]) -> TestResponse:
    """POST one of the spellings."""
    return service.client.post(**request)


@pytest.mark.parametrize("kind", SPELLINGS)
def test_how_a_request_is_written_makes_no_other_request(service: Service, kind: str) -> None:
    """Whichever spelling comes first, each later one is given its job; the job keeps its rows."""
    first, *others = [send(service, request) for request in SPELLINGS[kind]]

    assert first.status_code == 202, first.text
    for answer in others:
        assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (202, "true")
        assert answer.get_json()["id"] == first.get_json()["id"]
    assert count_jobs(service) == 1


def replaced(request: dict[str, Any], old: bytes, new: bytes) -> dict[str, Any]:
    """Return `request` with other bytes in its body."""
    assert old in request["data"]
    return request | {"data": request["data"].replace(old, new, 1)}


JSON_JOB, CSV_JOB = SPELLINGS["json"][0], SPELLINGS["csv"][0]


@pytest.mark.parametrize("first, second", [
    (JSON_JOB, replaced(JSON_JOB, b"677.1", b"677.2")),
    (JSON_JOB, replaced(JSON_JOB, b"1], {", b"1], 1, {")),
    (JSON_JOB, replaced(JSON_JOB, b"33958.0", b"true")),
    (JSON_JOB, replaced(JSON_JOB, b"33958.0", b'"33958.0"')),
    (JSON_JOB, replaced(JSON_JOB, b'"a": "1"', b'"a": "2"')),
    (JSON_JOB, replaced(JSON_JOB, b'"labels"', b'"retention_seconds": 60, "labels"')),
    (JSON_JOB, JSON_JOB | {"path": "/jobs?outputs=probabilities"}),
    (CSV_JOB, CSV_JOB | {"data": CSV_JOB["data"] + b"\n"}),
    (CSV_JOB, replaced(CSV_JOB, b"\n", b"\r\n")),
    (CSV_JOB, CSV_JOB | {"path": "/jobs?model=drybeans&max_errors=6"}),
    (CSV_JOB, CSV_JOB | {"path": "/jobs?model=drybeans"}),
    (CSV_JOB, JSON_JOB),
])  # fmt: skip
def test_other_rows_or_options_make_another_request(
    service: Service, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """422 in both orders, and nothing is stored for the second."""
    assert send(service, first).status_code == 202

    answer = send(service, second)

    assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert count_jobs(service) == 1


def test_rows_of_any_depth_can_be_sent_again(service: Service) -> None:
    """A row that is nested deeply is a bad row, not a failure of the service."""
    deep = f'{{"instances": [{json.dumps(BEAN)}, {"[" * 900}{"]" * 900}]}}'

    first, second = (send(service, as_json(deep)) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.get_json()["id"] == first.get_json()["id"]


@pytest.mark.parametrize("spelling", [SPELLINGS["json"][0], SPELLINGS["csv"][2]])
def test_a_key_of_the_previous_release_is_good_for_the_same_bytes(
    service: Service, spelling: dict[str, Any]
) -> None:
    """For a day after an upgrade; another spelling is refused, as that release did."""
    first = send(service, spelling)
    target, kind = spelling["path"], spelling["headers"]["Content-Type"]
    before = f"{target}{'' if '?' in target else '?'}\n{kind}\n".encode()
    fingerprint = hashlib.sha256(before + spelling["data"]).hexdigest()
    stored = update(idempotency_keys).values(fingerprint=fingerprint)
    service.database.write(lambda c: c.execute(stored))

    same = send(service, spelling)
    other = send(service, spelling | {"path": target.replace("/jobs", "/jobs/")})

    assert (same.status_code, same.get_json()["id"]) == (202, first.get_json()["id"])
    assert other.get_json()["code"] == "idempotency_key_reused"


def test_a_first_request_still_in_flight_is_to_be_waited_for(start: Start) -> None:
    """409 and Retry-After while its body arrives, since nobody knows yet what it is."""
    service = start(chunk_bytes=100_000)
    text = a_csv(10_000).encode()
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        assert go_on.wait(3600)

    parts = [text[at : at + 200_000] for at in range(0, len(text), 200_000)]
    body = Body(*parts[:-1], hold, parts[-1])
    client = service.client.application.test_client()

    def upload() -> None:
        environment = {"wsgi.input": body, "wsgi.input_terminated": True}
        headers = KEY | {"Content-Type": "text/csv", "Transfer-Encoding": "chunked"}
        client.post("/jobs", headers=headers, environ_overrides=environment)

    first = threading.Thread(target=upload)
    first.start()
    assert arrived.wait(3600)
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
        ready.wait(3600)
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
        return int(service.database.write(lambda c: delete_old_keys(c, day, 10)))

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
