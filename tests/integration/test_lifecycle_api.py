"""The whole life of a job as a client sees it: run, canceled, retried, expired, kept, deleted."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Connection, delete, func, select, update

from shared.db.schema import chunks, idempotency_keys, inputs, jobs, results
from shared.db.types import now
from shared.domain.jobs import JobId
from tests.beans import a_csv
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN
from worker.models.loader import ModelLoader
from worker.sweeper.runner import Sweeper, new_sweep

ROWS = 5
# The API counts what waits once a second.
_COUNTED_SECONDS = 1.1


@pytest.fixture
def small(database_url: str, redis_url: str, models: ModelLoader) -> Iterator[Service]:
    """A service that cuts jobs into chunks of two rows and hands out two at a time."""
    running = Service(
        database_url,
        redis_url,
        models=models,
        chunk_rows=2,
        window_chunks=2,
        interactive_max_rows=2,
        republish_seconds=0.05,
        high_water_rows=10,
        low_water_rows=4,
    )
    yield running
    running.stop()


@pytest.fixture
def sweep(small: Service) -> Iterator[Sweeper]:
    """The sweep of that service."""
    made = new_sweep(small.settings)
    yield made
    made.database.close()


def submit(service: Service, rows: int = ROWS, **more: Any) -> JobId:
    """POST a job of `rows` beans that is accepted."""
    answer = service.client.post("/jobs", json={"instances": [BEAN] * rows, **more})
    assert answer.status_code == 202, answer.text
    return JobId(answer.get_json()["id"])


def change(service: Service, job: JobId, **values: Any) -> None:
    """Write into a job's row, as the passing of time would."""
    service.database.write(lambda c: c.execute(update(jobs).where(jobs.c.id == job).values(values)))


def count(service: Service, job: JobId) -> list[int]:
    """Count what is stored of a job: chunks, inputs, results."""
    queries = [
        select(func.count()).select_from(table).where(table.c.job_id == job)
        for table in (chunks, inputs, results)
    ]
    return service.database.read(lambda c: [c.scalar(query) for query in queries])  # type: ignore[no-any-return]


def test_a_canceled_job_ends_at_once_and_keeps_what_was_finished(
    small: Service, redis_url: str
) -> None:
    """Its finished chunks can be read; the others never run, though messages about them wait."""
    with Redis.from_url(redis_url) as client:
        job = submit(small)
        wait_for(lambda: client.llen("bulk") == 2)
        kept = client.lpop("bulk")
        assert isinstance(kept, bytes)
        small.work()

        answer = small.client.post(f"/jobs/{job}/cancel")

        assert (answer.status_code, answer.get_json()["state"]) == (200, "canceled")
        client.lpush("bulk", kept)
        assert small.work() == 1
    document = small.job(job)
    assert document["state"] == "canceled"
    finished = document["rows"]["succeeded"]
    assert 0 < finished < ROWS
    pages = small.client.get(f"/jobs/{job}/results").get_json()
    assert (pages["total"], pages["next"]) == (finished, None)
    assert len([row for row in pages["results"] if "label" in row]) == finished
    assert sum(document["summary"]["counts"].values()) == finished
    assert document["links"]["retry"] == f"/jobs/{job}/retry"


def test_pages_of_a_stopped_job_lead_only_to_rows_that_are_there(small: Service) -> None:
    """A gap is skipped, and the last page has no next one, however small the pages are."""
    job = submit(small, 9)
    done = chunks.c.job_id == job
    small.finish(job)
    states = {0: "done", 1: "canceled", 2: "canceled", 3: "done", 4: "canceled"}

    def leave_gaps(connection: Connection) -> None:
        kept = connection.execute(select(results).where(results.c.job_id == job)).all()
        for stored in kept:
            if states[stored.seq] != "done":
                here = (results.c.job_id == job) & (results.c.seq == stored.seq)
                connection.execute(delete(results).where(here))
        for seq, state in states.items():
            connection.execute(update(chunks).where(done, chunks.c.seq == seq).values(state=state))

    small.database.write(leave_gaps)
    change(small, job, state="canceled", rows_succeeded=4, rows_failed=0)

    seen, path = [], f"/jobs/{job}/results?limit=1"
    while path:
        page = small.client.get(path).get_json()
        seen.append([row["row"] for row in page["results"]])
        assert page["total"] == 4
        path = page["next"]

    assert seen == [[0], [1], [6], [7]]


def test_a_finished_job_cannot_be_canceled(small: Service) -> None:
    """409, and nothing changes."""
    job = submit(small)
    before = small.finish(job)

    answer = small.client.post(f"/jobs/{job}/cancel")

    assert answer.status_code == 409
    assert answer.get_json()["code"] == "job_finished"
    assert small.job(job) == before


def test_a_retry_runs_what_a_canceled_job_did_not(small: Service) -> None:
    """As a job of its own; of a job that succeeded there is nothing to retry."""
    job = submit(small)
    small.client.post(f"/jobs/{job}/cancel")

    answer = small.client.post(f"/jobs/{job}/retry")

    assert answer.status_code == 202
    again = small.finish(JobId(answer.get_json()["id"]))
    assert (again["state"], again["rows"]["succeeded"]) == ("succeeded", ROWS)
    refused = small.client.post(f"/jobs/{again['id']}/retry")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "nothing_to_retry")


def test_a_retry_sent_twice_is_two_jobs_that_name_the_old_one(small: Service) -> None:
    """It takes no Idempotency-Key: whoever is unsure looks for `retry_of` first."""
    job = submit(small, 1)
    small.client.post(f"/jobs/{job}/cancel")

    headers = {"Idempotency-Key": "again"}
    made = [small.client.post(f"/jobs/{job}/retry", headers=headers).get_json() for _ in "ab"]

    listed = small.client.get("/jobs").get_json()["jobs"]
    assert made[0]["id"] != made[1]["id"]
    assert [each["retry_of"] for each in listed] == [job, job, None]


def test_an_unfinished_job_cannot_be_retried_or_deleted(small: Service) -> None:
    """409 for both, and it runs on."""
    job = submit(small)

    assert small.client.post(f"/jobs/{job}/retry").status_code == 409
    assert small.client.delete(f"/jobs/{job}").status_code == 409

    assert small.finish(job)["state"] == "succeeded"


def test_a_deleted_job_is_gone_and_its_data_with_it(small: Service, sweep: Sweeper) -> None:
    """410 from then on, on every address of the job; the sweep leaves no row of its data."""
    job = submit(small)
    small.finish(job)

    assert small.client.delete(f"/jobs/{job}").status_code == 204

    for path in ("", "/results", "/errors"):
        assert small.client.get(f"/jobs/{job}{path}").status_code == 410
    for verb in ("cancel", "retry"):
        assert small.client.post(f"/jobs/{job}/{verb}").status_code in {404, 410}
    assert small.client.delete(f"/jobs/{job}").status_code == 410
    sweep()
    assert count(small, job) == [0, 0, 0]
    assert small.client.get(f"/jobs/{job}").status_code == 410


def test_a_job_past_its_deadline_expires_and_keeps_what_was_finished(
    small: Service, sweep: Sweeper
) -> None:
    """It says so, and a worker that comes late with a message finds nothing to do."""
    job = submit(small)
    change(small, job, deadline_at=now(-1))

    sweep()
    small.work()

    document = small.job(job)
    assert (document["state"], document["rows"]["succeeded"]) == ("expired", 0)


def test_a_job_is_forgotten_when_its_retention_is_over(small: Service, sweep: Sweeper) -> None:
    """404, and no row is left, its idempotency key included: that may then make a new job."""
    headers = {"Idempotency-Key": "once"}
    first = small.client.post("/jobs", json={"instances": [BEAN]}, headers=headers).get_json()["id"]
    small.finish(first)
    change(small, first, expires_at=now(-1))

    sweep()

    assert small.client.get(f"/jobs/{first}").status_code == 404
    assert count(small, first) == [0, 0, 0]
    left = select(func.count()).select_from(idempotency_keys)
    assert small.database.read(lambda c: c.scalar(left)) == 0
    again = small.client.post("/jobs", json={"instances": [BEAN]}, headers=headers)
    assert again.status_code == 202
    assert again.get_json()["id"] != first


def test_a_finished_job_is_kept_for_as_long_as_its_client_asked(small: Service) -> None:
    """From the moment it finished."""
    job = submit(small, rows=1, retention_seconds=60)

    small.finish(job)

    row = small.database.read(lambda c: c.execute(select(jobs).where(jobs.c.id == job)).one())
    assert row.expires_at - row.finished_at == timedelta(seconds=60)


def test_work_is_refused_over_the_high_water_mark_until_under_the_low_one(small: Service) -> None:
    """503 with Retry-After in between, also while the backlog is between the two marks."""
    first, second, third = submit(small), submit(small), submit(small)

    def status() -> int:
        # A request without rows: 422 when jobs are taken, and it adds none.
        return small.client.post("/jobs", json={"instances": []}).status_code

    wait_for(lambda: status() == 503)
    answer = small.client.post("/jobs", json={"instances": [BEAN]})
    assert answer.get_json()["code"] == "overloaded"
    assert int(answer.headers["Retry-After"]) > 0
    small.client.post(f"/jobs/{first}/cancel")
    small.client.post(f"/jobs/{second}/cancel")
    time.sleep(_COUNTED_SECONDS)
    assert status() == 503

    small.finish(third)

    wait_for(lambda: status() == 422)


def test_what_queues_nothing_is_answered_while_work_is_refused(small: Service) -> None:
    """A report on rows, and a request that comes again."""
    again = {"json": {"instances": [BEAN] * 11}, "headers": {"Idempotency-Key": "again"}}
    first = small.client.post("/jobs", **again)

    def refused() -> bool:
        return small.client.post("/jobs", json={"instances": []}).status_code == 503

    wait_for(refused)

    report = small.client.post("/jobs?validate_only=true", json={"instances": [BEAN]})
    csv = small.post("/jobs?validate_only=true", a_csv(2))
    second = small.client.post("/jobs", **again)
    assert (report.status_code, csv.status_code) == (200, 200)
    assert second.get_json()["id"] == first.get_json()["id"]
    assert small.post("/jobs", a_csv(2)).status_code == 503


def test_a_full_intake_is_told_to_come_back(
    database_url: str, redis_url: str, models: ModelLoader
) -> None:
    """503 with Retry-After: nothing was taken, so the client may send it again."""
    service = Service(database_url, redis_url, models=models)
    service.services.group_commit.close()

    answer = service.client.post("/jobs", json={"instances": [BEAN]})

    assert (answer.status_code, answer.get_json()["code"]) == (503, "intake_full")
    assert int(answer.headers["Retry-After"]) > 0
    service.stop()
