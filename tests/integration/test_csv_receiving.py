"""A CSV larger than a chunk: worked on while it arrives, broken off, refused late, canceled."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import func, select

from shared.db.schema import chunks, jobs
from tests.beans import COUNT, a_csv, bean_labels, beans, written
from tests.factories import purge_all
from tests.service import Body, Service, break_off
from tests.uploads import CHUNK, MANY, look, parts, stored, the_job

Start = Callable[..., Service]


def test_a_large_csv_becomes_many_chunks_whose_rows_stay_in_order(start: Start) -> None:
    """However the stream is cut, and whichever chunk is finished first."""
    service = start(chunk_bytes=CHUNK)

    job = service.run_csv(Body(*parts()))

    count = select(func.count()).select_from(chunks)
    assert service.database.read(lambda c: c.scalar(count)) > MANY / 20
    assert job["state"] == "succeeded"
    rows = service.rows(job)
    assert [row["row"] for row in rows] == list(range(MANY))
    assert [row["line"] for row in rows] == list(range(2, MANY + 2))
    assert [row["label"] for row in rows] == bean_labels(MANY)


def test_workers_start_before_the_upload_ends(start: Start) -> None:
    """The job is `receiving` meanwhile; what is finished can be read, and asked for as partial."""
    service = start(chunk_bytes=CHUNK)
    seen: dict[str, Any] = {}

    def meanwhile() -> None:
        job = the_job(service)["id"]
        service.work_until(lambda: look(service, job)["rows"]["succeeded"] > 0)
        seen["job"] = look(service, job)
        seen["whole"] = look(service, job, "/results")
        seen["partial"] = look(service, job, "/results?partial=true&limit=5")

    half = len(parts()) // 2
    answer = service.post("/jobs", Body(*parts()[:half], meanwhile, *parts()[half:]))

    assert answer.status_code == 202
    assert seen["job"]["state"] == "receiving"
    assert 0 < seen["job"]["rows"]["succeeded"] <= seen["job"]["rows"]["total"] < MANY
    assert seen["whole"]["code"] == "job_unfinished"
    assert [row["label"] for row in seen["partial"]["results"]] == bean_labels(5)
    assert "partial=true" in seen["partial"]["next"]
    job = service.finish(answer.get_json()["id"])
    assert service.labels(job) == bean_labels(MANY)


def test_redis_never_knows_more_than_a_window_of_an_uploads_chunks(
    start: Start, redis_url: str
) -> None:
    """The others wait in the database, so that many uploads share the workers."""
    service = start(chunk_bytes=CHUNK, window_chunks=3)

    job = service.submit(Body(*parts()))

    with Redis.from_url(redis_url) as redis:
        service.work_until(lambda: redis.llen("bulk") == 0)
        released = select(jobs.c.chunks_released, jobs.c.chunks_finished)
        row = service.database.read(lambda c: c.execute(released).one())
    assert row.chunks_released - row.chunks_finished <= 3
    assert service.labels(service.finish(job)) == bean_labels(MANY)


@pytest.mark.parametrize("count, queue", [(COUNT, "interactive"), (1001, "bulk")])
def test_a_small_csv_is_a_small_job(service: Service, count: int, queue: str) -> None:
    """It does not wait behind large ones."""
    job = service.submit(a_csv(count))

    assert service.job(job)["queue"]["name"] == queue


@pytest.mark.parametrize("worked", [False, True])
def test_an_upload_that_its_sender_aborts_is_canceled_and_leaves_no_rows(
    start: Start, *, worked: bool
) -> None:
    """Half of a file would be read as the whole; also when its first chunks have results."""
    service = start(chunk_bytes=CHUNK)
    before: Sequence[Any] = [lambda: work_some(service)] if worked else []

    answer = service.post("/jobs", Body(*parts()[:30], *before, *parts()[30:40], break_off))

    assert (answer.status_code, answer.get_json()["code"]) == (400, "upload_incomplete")
    job = the_job(service)
    assert (job["state"], job["error"]["code"]) == ("canceled", "upload_incomplete")
    assert counts_of(service, job) == NOTHING
    service.work()
    purge_all(service.database)
    assert stored(service, job["id"]) == {"inputs": 0, "results": 0}
    assert look(service, job["id"]) == job
    assert counts_of(service, job) == NOTHING


NOTHING = {
    "job": {"total": 0, "succeeded": 0, "failed": 0},
    "listed": {"total": 0, "succeeded": 0, "failed": 0},
    "progress": 0.0,
    "summary": {"counts": {}, "out_of_range": {}, "drift": {}, "drift_rows": 0},
    "retry": (None, 409),
    "page": {"results": [], "next": None, "total": 0},
    "ndjson": "",
    "waited": [],
    "errors": 1,
    "csv": 1,
}


def counts_of(service: Service, job: dict[str, Any]) -> dict[str, Any]:
    """Return every place that shows how many rows a job has."""
    client = service.client.application.test_client()
    (listed,) = client.get("/jobs").get_json()["jobs"]
    seen, path = look(service, job["id"]), f"/jobs/{job['id']}"
    return {
        "job": seen["rows"],
        "listed": listed["rows"],
        "progress": seen["progress"],
        "summary": seen["summary"],
        "retry": (seen["links"]["retry"], client.post(f"{path}/retry").status_code),
        "page": client.get(f"{path}/results").get_json(),
        "ndjson": client.get(f"{path}/results?format=ndjson").text,
        "waited": client.get(path, headers={"Prefer": "wait=1"}).get_json()["results"],
        "errors": len(client.get(f"{path}/errors").text.splitlines()),
        "csv": len(client.get(f"{path}/results?format=csv").text.splitlines()),
    }


def work_some(service: Service) -> None:
    """Run some chunks of the only job."""
    job = the_job(service)["id"]
    service.work_until(lambda: look(service, job)["rows"]["succeeded"] > 0)


def test_an_upload_broken_off_before_its_first_chunk_leaves_nothing(service: Service) -> None:
    """There is nothing to clean up."""
    answer = service.post("/jobs", Body(a_csv().encode(), break_off))

    assert answer.get_json()["code"] == "upload_incomplete"
    assert service.client.get("/jobs").get_json()["jobs"] == []


@pytest.mark.parametrize(
    "line, code, words",
    [
        ('"two\nlines",', "request_invalid", "Line 252 has a quoted field"),
        ("9" * 70_000, "body_too_large", "A line is longer than 65536 bytes"),
    ],
)
def test_a_flaw_far_down_refuses_the_whole_file(
    start: Start, line: str, code: str, words: str
) -> None:
    """The rows after it cannot be told apart, so none of them counts."""
    service = start(chunk_bytes=CHUNK)

    answer = service.post("/jobs", Body(*parts(a_csv(250) + line + written(beans(250)))))

    assert answer.status_code in {413, 422}
    assert answer.get_json()["detail"].startswith(words)
    job = the_job(service)
    assert (job["state"], job["error"]["code"]) == ("failed", code)
    assert counts_of(service, job) == NOTHING
    purge_all(service.database)
    assert stored(service, job["id"]) == {"inputs": 0, "results": 0}


def test_a_job_canceled_while_it_arrives_stops_its_upload(start: Start) -> None:
    """The client that still sends is told with 409."""
    service = start(chunk_bytes=CHUNK)

    def cancel() -> None:
        job = the_job(service)["id"]
        other = service.client.application.test_client()
        assert other.post(f"/jobs/{job}/cancel").status_code == 200

    answer = service.post("/jobs", Body(*parts()[:30], cancel, *parts()[30:]))

    assert (answer.status_code, answer.get_json()["code"]) == (409, "upload_stopped")
    job = the_job(service)
    assert job["state"] == "canceled"
    assert service.work() <= 4
    assert look(service, job["id"]) == job
