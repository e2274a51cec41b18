"""`Prefer: wait`: clients that would rather wait than ask again."""

import time

from werkzeug.test import TestResponse

from tests.service import Service
from tests.working import BEAN, working


def submit(service: Service, *rows: object, prefer: str) -> TestResponse:
    """POST a job of `rows` and wait for it as `prefer` says."""
    document = {"instances": list(rows)}
    return service.client.post("/jobs", json=document, headers={"Prefer": prefer})


def test_a_client_may_wait_for_its_results(service: Service) -> None:
    """With Prefer: wait the answer is the finished job, results and all."""
    with working(service):
        answer = submit(service, BEAN, [], prefer="wait=10")

    job = answer.get_json()
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert "Retry-After" not in answer.headers
    assert job["state"] == "partial"
    assert job["results"][0] == {"row": 0, "label": "DERMASON"}
    assert job["results"][1]["error"]["code"] == "empty"


def test_a_wait_that_was_too_short_gives_the_job_as_it_is(service: Service) -> None:
    """202 as without it; the job goes on."""
    began = time.monotonic()
    answer = submit(service, BEAN, prefer="respond-async, wait=1")

    assert time.monotonic() - began > 0.9
    assert (answer.status_code, answer.get_json()["state"]) == (202, "queued")
    assert answer.headers["Preference-Applied"] == "wait=1"


def test_a_client_may_wait_when_it_looks(service: Service) -> None:
    """GET with Prefer: wait answers when the job is done, or 200 with the unfinished job."""
    job = service.client.post("/jobs", json={"instances": [BEAN]}).get_json()
    path = job["links"]["self"]

    early = service.client.get(path, headers={"Prefer": "wait=0"})
    with working(service):
        late = service.client.get(path, headers={"Prefer": "wait=10"})

    assert (early.status_code, early.get_json()["state"]) == (200, "queued")
    assert (late.status_code, late.get_json()["state"]) == (200, "succeeded")
    assert late.get_json()["results"] == [{"row": 0, "label": "DERMASON"}]


def test_a_wait_is_never_longer_than_thirty_seconds(service: Service) -> None:
    """What is asked for beyond that is not applied."""
    with working(service):
        answer = submit(service, BEAN, prefer="wait=86400")

    assert answer.headers["Preference-Applied"] == "wait=30"


def test_many_results_are_not_inlined(service: Service) -> None:
    """Over a thousand rows the job comes alone; its results have an address."""
    with working(service):
        few = submit(service, *([BEAN] * 1000), prefer="wait=30").get_json()
        many = submit(service, *([BEAN] * 1001), prefer="wait=30").get_json()

    assert few["state"] == many["state"] == "succeeded"
    assert len(few["results"]) == 1000
    assert "results" not in many
