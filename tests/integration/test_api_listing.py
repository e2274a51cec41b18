"""Lists of jobs, ETags, events and limits over HTTP."""

from typing import Any

import orjson
import pytest

from tests.service import Service
from tests.working import BEAN, working


def submitted(service: Service, **options: Any) -> dict[str, Any]:
    """Submit a job of one bean."""
    answer = service.client.post("/jobs", json={"instances": [BEAN], **options})
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def listed(service: Service, query: str = "") -> list[str]:
    """List the ids of the jobs that fit `query`."""
    answer = service.client.get(f"/jobs?{query}")
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.get_json()["jobs"]]


def test_jobs_are_listed_newest_first(service: Service) -> None:
    """Each as it is when it is looked at alone."""
    jobs = [submitted(service) for _ in range(3)]

    assert listed(service) == [job["id"] for job in reversed(jobs)]
    found = service.client.get("/jobs").get_json()
    one = service.client.get(jobs[2]["links"]["self"]).get_json()
    assert found["jobs"][0].keys() == one.keys()
    assert found["jobs"][0]["created_at"] == one["created_at"]
    assert found["next"] is None is found["next_page_token"]


def test_pages_hold_every_job_once(service: Service) -> None:
    """Each page links to the next, also while new jobs come."""
    jobs = [submitted(service, labels={"batch": "a"})["id"] for _ in range(5)]

    found = []
    link = "/jobs?page_size=2&label.batch=a"
    while link:
        page = service.client.get(link).get_json()
        found += [job["id"] for job in page["jobs"]]
        link = page["next"]
        submitted(service, labels={"batch": "a"})

    assert found == list(reversed(jobs))


def test_a_token_alone_leads_on_too(service: Service) -> None:
    """For clients that build their own addresses."""
    jobs = [submitted(service)["id"] for _ in range(3)]
    token = service.client.get("/jobs?page_size=2").get_json()["next_page_token"]

    assert listed(service, f"page_token={token}") == [jobs[0]]


def test_jobs_are_found_by_state(service: Service) -> None:
    """Those that have finished and those that have not."""
    done = submitted(service)["id"]
    service.finish(done)
    waiting = submitted(service)["id"]

    assert listed(service, "state=succeeded") == [done]
    assert listed(service, "state=queued") == [waiting]
    assert listed(service, "state=failed") == []


def test_jobs_are_found_by_model(service: Service) -> None:
    """By its name, or by one version of it."""
    first, second = (submitted(service, model=f"drybeans@{n}")["id"] for n in (1, 2))

    assert listed(service, "model=drybeans") == [second, first]
    assert listed(service, "model=drybeans@1") == [first]
    assert listed(service, "model=lentils") == []


def test_jobs_are_found_by_their_labels(service: Service) -> None:
    """Those that have all of them."""
    both = submitted(service, labels={"batch": "7", "site": "a"})["id"]
    other = submitted(service, labels={"batch": "7", "site": "b"})["id"]

    assert listed(service, "label.batch=7") == [other, both]
    assert listed(service, "label.batch=7&label.site=a") == [both]
    assert listed(service, "label.batch=8") == []


def test_jobs_are_found_by_when_they_were_made(service: Service) -> None:
    """At a moment or later."""
    job = submitted(service)

    assert listed(service, f"created_after={job['created_at'][:19]}Z") == [job["id"]]
    assert listed(service, "created_after=2999-01-01T00:00:00%2B01:00") == []


@pytest.mark.parametrize(
    "query, pointer",
    [
        ("state=done", "/state"),
        ("model=drybeans@x", "/model"),
        ("created_after=yesterday", "/created_after"),
        ("created_after=2026-01-31T12:00:00", "/created_after"),
        ("created_after=9999-12-31T23:59:59-01:00", "/created_after"),
        ("page_size=0", "/page_size"),
        ("page_size=201", "/page_size"),
        ("page_token=nonsense", "/page_token"),
        ("page_token=%FF", "/page_token"),
        ("colour=red", "/colour"),
        ("%5Bkey%5D=red", "/[key]"),
    ],
)
def test_what_cannot_be_asked_of_a_list_is_refused(
    service: Service, query: str, pointer: str
) -> None:
    """By its name; what is unknown is never passed over."""
    answer = service.client.get(f"/jobs?{query}")

    assert (answer.status_code, answer.get_json()["code"]) == (422, "request_invalid")
    assert [fault["pointer"] for fault in answer.get_json()["errors"]] == [pointer]


def test_all_mistakes_in_a_query_are_told_at_once(service: Service) -> None:
    """A client mends its request in one go."""
    answer = service.client.get("/jobs?state=done&page_size=ten&colour=red").get_json()

    assert [fault["pointer"] for fault in answer["errors"]] == ["/state", "/page_size", "/colour"]


def test_a_job_that_has_not_changed_is_not_sent_again(service: Service) -> None:
    """304 without a body for the ETag of a finished job, 200 for any other."""
    path = submitted(service)["links"]["self"]
    before = service.client.get(path).headers["ETag"]
    with working(service):
        service.client.get(path, headers={"Prefer": "wait=20"})

    finished = service.client.get(path)
    again = service.client.get(path, headers={"If-None-Match": finished.headers["ETag"]})
    changed = service.client.get(path, headers={"If-None-Match": before})

    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == finished.headers["ETag"] != before
    assert (changed.status_code, changed.get_json()["state"]) == (200, "succeeded")


def test_head_answers_like_get_without_a_body(service: Service) -> None:
    """The same headers, and 304 for the same ETag."""
    path = submitted(service)["links"]["self"]
    with working(service):
        service.client.get(path, headers={"Prefer": "wait=20"})

    got, head = service.client.get(path), service.client.head(path)
    again = service.client.head(path, headers={"If-None-Match": got.headers["ETag"]})

    ours = {"X-Request-ID"}
    assert {k: v for k, v in head.headers if k not in ours} == {
        k: v for k, v in got.headers if k not in ours
    }
    assert (head.status_code, head.data, again.status_code) == (200, b"", 304)


def test_a_job_tells_when_to_ask_again_until_it_has_finished(service: Service) -> None:
    """Retry-After while it is unfinished."""
    job = submitted(service)

    before = service.client.get(job["links"]["self"])
    service.finish(job["id"])
    after = service.client.get(job["links"]["self"])

    assert before.headers["Retry-After"] == "1"
    assert "Retry-After" not in after.headers


def events_of(text: str) -> list[tuple[str, Any]]:
    """Read server-sent events: name and data of each."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((lines["event"], orjson.loads(lines["data"])))
    return found


def test_a_job_is_followed_to_its_end(service: Service) -> None:
    """The job at each change, and at last that there will be no more."""
    job = submitted(service)
    with working(service):
        answer = service.client.get(job["links"]["events"])
        text = answer.text

    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    events = events_of(text)
    assert [name for name, _ in events[-2:]] == ["job", "end"]
    assert {name for name, _ in events[:-1]} == {"job"}
    assert events[-2][1]["state"] == "succeeded"
    assert events[-1][1] == {"id": job["id"]}


def test_a_finished_job_has_one_event_and_an_end(service: Service) -> None:
    """Who comes late learns all there is."""
    job = submitted(service)
    service.finish(job["id"])

    events = events_of(service.client.get(job["links"]["events"]).text)

    assert [name for name, _ in events] == ["job", "end"]


def test_there_are_no_events_of_what_there_is_not(service: Service) -> None:
    """404 as a problem, before any stream begins."""
    answer = service.client.get("/jobs/0190a0b0-0000-7000-8000-000000000000/events")

    assert (answer.status_code, answer.get_json()["code"]) == (404, "job_not_found")


def test_the_limits_are_told(service: Service) -> None:
    """As they are set."""
    limits = service.client.get("/limits").get_json()

    settings = service.settings
    assert limits["json"] == {"bytes": settings.max_body_bytes, "rows": settings.max_instances}
    assert limits["csv"] == {
        "bytes": settings.max_upload_bytes,
        "line_bytes": settings.max_line_bytes,
        "rows": settings.max_job_rows,
        "compression_ratio": settings.max_compression_ratio,
    }
    assert limits["queued_rows"]["high"] == settings.high_water_rows
    assert (limits["wait_seconds"], limits["results"]["inline_rows"]) == (30, 1000)
    page = limits["results"]["page_rows"]
    job = submitted(service)
    service.finish(job["id"])
    path = job["links"]["results"]
    assert service.client.get(f"{path}?limit={page}").status_code == 200
    assert service.client.get(f"{path}?limit={page + 1}").status_code == 422
