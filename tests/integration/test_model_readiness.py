"""Which models are ready, and what a waited-for job answers that failed through no row's fault."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from api.jobs.model_readiness import ModelReadiness
from shared.broker.heartbeats import Heartbeat, HeartbeatStore, ProcessKind
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.complete import complete
from shared.db.schema import jobs
from shared.domain.errors import QueueDown
from shared.domain.jobs import ChunkRef, JobFailure, JobId, JobState
from shared.observability.worker_status import WorkerStatus
from tests.beans import default_model
from tests.factories import OUTBOX, answered, take
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN

MODEL = default_model()
CALLS = {
    "/predict": {"data": [BEAN]},
    "/v1/models/drybeans:predict": {"instances": [BEAN]},
    "/v2/models/drybeans/infer": {
        "inputs": [{"name": "rows", "datatype": "FP64", "shape": [1, 16], "data": BEAN}]
    },
}
READY = ("/v1/models/drybeans", "/v2/models/drybeans/ready", "/v2/models/drybeans/versions/2/ready")


def report(redis_url: str, **status: Any) -> None:
    """Report as a worker that can load the default model, unless `status` says otherwise."""
    values: dict[str, Any] = {"processes": 2, "running": 2, "available": {MODEL.id: MODEL.sha256}}
    details = WorkerStatus(**values | status).details()
    HeartbeatStore(redis_url).record("worker-1@a", ProcessKind.WORKER, details)


@pytest.mark.parametrize("path", READY)
def test_a_model_that_a_living_worker_can_load_is_ready(
    service: Service, redis_url: str, path: str
) -> None:
    """With that very artifact."""
    report(redis_url)

    answer = service.client.get(path)

    assert answer.status_code == 200
    assert answer.get_json() == {"name": "drybeans", "ready": True}


@pytest.mark.parametrize("path", READY)
@pytest.mark.parametrize(
    "status",
    [
        None,
        {"running": 0},
        {"available": {}},
        {"available": {}, "refused": {MODEL.id: "it is truncated or another file."}},
        {"available": {MODEL.id: "0" * 64}},
        {"available": {"drybeans@1": MODEL.sha256}},
    ],
    ids=["no worker", "dead pool", "missing", "refused", "rewritten", "another version"],
)
def test_a_model_that_no_worker_can_load_is_not_ready(
    service: Service, redis_url: str, path: str, status: dict[str, Any] | None
) -> None:
    """503, as clients of the protocols expect; the model is known all the same."""
    if status is not None:
        report(redis_url, **status)

    answer = service.client.get(path)

    assert answer.status_code == 503
    assert answer.get_json() == {"name": "drybeans", "ready": False}


def test_a_worker_that_is_silent_makes_nothing_ready() -> None:
    """It may be dead; and without Redis no worker is reached."""
    details = WorkerStatus(processes=1, running=1, available={MODEL.id: MODEL.sha256}).details()
    heartbeat = Heartbeat(
        name="w", kind=ProcessKind.WORKER, clock=0, reported_at=0, age=31.0, details=details
    )

    def down() -> list[Heartbeat]:
        raise QueueDown

    assert not ModelReadiness(lambda: [heartbeat])(MODEL)
    assert ModelReadiness(lambda: [replace(heartbeat, age=29.0)])(MODEL)
    assert not ModelReadiness(down)(MODEL)


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """A service that waits for as long as a busy machine may take."""
    return start(predict_wait_seconds=600.0, database_answer_seconds=600.0)


def fail_next_job(service: Service, failure: JobFailure) -> None:
    """Be a worker that gives up the next job's only chunk."""
    ref = next_chunk(service)
    (claimed,) = take(service.database, ref)
    given_up = replace(
        answered(claimed), labels=None, summary=None, failure=failure, is_only_chunk=False
    )
    service.database.write(lambda c: complete(c, [given_up], OUTBOX))


def next_chunk(service: Service) -> ChunkRef:
    """Wait for a job and name its only chunk."""

    def ids() -> list[str]:
        return list(
            service.database.read(
                lambda c: c.scalars(jobs.select().with_only_columns(jobs.c.id)).all()
            )
        )

    wait_for(lambda: bool(ids()), seconds=600)
    return ChunkRef(job=JobId(ids()[0]), seq=0)


def beside(work: Callable[[], object]) -> threading.Thread:
    """Start `work` in a thread."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    "code, status, detail",
    [
        ("worker_died", 500, "4 workers stopped answering while they ran this part of the job."),
        ("prediction_failed", 500, "Every one of 4 attempts failed; the last with a bug."),
        ("model_unavailable", 503, "For ten minutes no worker could load drybeans@2. It is gone."),
    ],
)
def test_what_is_not_the_clients_fault_is_no_4xx(
    service: Service, path: str, code: str, status: int, detail: str
) -> None:
    """The problem has the code and the sentence of the job, and blames no row."""
    worker = beside(lambda: fail_next_job(service, JobFailure(code=code, detail=detail)))

    answer = service.client.post(path, json=CALLS[path])
    worker.join()

    assert answer.status_code == status
    problem = answer.get_json()
    assert (problem["code"], problem["detail"], problem["errors"]) == (code, detail, [])
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize(
    "state, status, code, detail",
    [
        (JobState.CANCELED, 409, "job_canceled",
         "The job was canceled before every row had a label."),
        (JobState.EXPIRED, 503, "wait_timed_out",
         "The job passed its time limit before every row had a label."),
    ],
)  # fmt: skip
def test_a_job_that_is_stopped_while_it_is_waited_for_blames_no_row(
    service: Service, state: JobState, status: int, code: str, detail: str
) -> None:
    """Somebody canceled it, or no worker came in time."""

    def stop() -> None:
        ref = next_chunk(service)
        service.database.write(lambda c: stop_job(c, ref.job, state))

    worker = beside(stop)

    answer = service.client.post("/predict", json=CALLS["/predict"])
    worker.join()

    assert answer.status_code == status, answer.text
    assert (answer.get_json()["code"], answer.get_json()["detail"]) == (code, detail)
