"""The log follows a request through the queue, and keeps what is none of its business out."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.marks import ON_SQLITE
from tests.service import Service
from tests.working import BEAN

# How requests are read does not depend on the database.
pytestmark = ON_SQLITE


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """Return the fields of all lines about `event`."""
    return [vars(record) for record in caplog.records if record.message == event]


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log from info on."""
    caplog.set_level(logging.INFO)
    return caplog


def test_a_request_is_found_in_the_workers_log(
    service: Service, heard: pytest.LogCaptureFixture
) -> None:
    """The same id at acceptance, with the job, and where the job is run."""
    with service.client.post(
        "/jobs", json={"instances": [BEAN]}, headers={"X-Request-ID": "mine-1"}
    ) as answer:
        job = answer.get_json()["id"]
    service.work_until(lambda: bool(lines(heard, "chunks_run")))

    (accepted,) = lines(heard, "request")
    assert (accepted["request_id"], accepted["job"]) == ("mine-1", job)
    assert (accepted["method"], accepted["route"], accepted["status"]) == ("POST", "/jobs", 202)
    assert 0 < accepted["seconds"] < 60
    (run,) = lines(heard, "chunks_run")
    assert (run["chunks"], run["requests"]) == ([f"{job}/0"], ["mine-1"])


def test_every_chunk_of_an_upload_names_its_request(
    start: Callable[..., Service], heard: pytest.LogCaptureFixture
) -> None:
    """Also those that a worker publishes when the window moves on."""
    service = start(chunk_bytes=200, window_chunks=1, interactive_max_rows=1)
    csv = "\n".join(",".join(map(str, BEAN)) for _ in range(40))

    job = service.submit(csv, headers={"X-Request-ID": "upload-1"})
    service.finish(job)

    runs = lines(heard, "chunks_run")
    assert len(runs) > 1
    assert {request for run in runs for request in run["requests"]} == {"upload-1"}


@pytest.mark.parametrize(
    "path", ["/nothing/here", "/jobs/%0Aforged/results", "/jobs?key=dbk_secret"]
)
def test_a_line_holds_routes_and_not_what_clients_write(
    service: Service, heard: pytest.LogCaptureFixture, path: str
) -> None:
    """No line break that forges another line, no query, no key."""
    service.client.get(path, headers={"Authorization": "Bearer dbk_secret"}).close()

    (line,) = lines(heard, "request")
    assert line["route"] in {"none", "/jobs/<job_id>/results", "/jobs"}
    assert "forged" not in str(line)
    assert "secret" not in str(line)


def test_probes_do_not_fill_the_log(service: Service, heard: pytest.LogCaptureFixture) -> None:
    """They come every few seconds, for as long as the service lives."""
    service.client.get("/healthz").close()
    service.client.get("/readyz").close()

    assert lines(heard, "request") == []
