"""Jobs that are waited for: what /predict and the inference protocols have in common."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from werkzeug.exceptions import BadRequest

from api.documents import ResultRow
from api.openapi.operation import FIND, Errors
from api.routes.finding import check_room, find_whole, note_job, read_origin
from api.routes.results import read_rows
from api.services import Services
from shared.domain.errors import (
    BodyMalformed,
    BodyTooLarge,
    BodyTooSlow,
    BodyTypeUnsupported,
    DatabaseDown,
    Fault,
    IntakeFull,
    Overloaded,
    QuotaExceeded,
    RequestInvalid,
    WaitTimedOut,
)
from shared.domain.jobs import Job, JobState

WAITED: Final[Errors] = (
    BodyMalformed,
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    BodyTypeUnsupported,
    RequestInvalid,
    Overloaded,
    IntakeFull,
    QuotaExceeded,
    DatabaseDown,
    WaitTimedOut,
    *FIND,
)
"""The errors of every call that submits a job and waits for it."""


def submit_now(services: Services, document: Mapping[str, Any]) -> Job:
    """Submit the job in `document` in the caller's name."""
    check_room(services)
    job = services.submit(document, read_origin())
    note_job(job)
    return job


def await_rows(services: Services, job: Job, locate: Callable[[int], str]) -> list[ResultRow]:
    """Wait for `job` and give a document for each row, every one with a label.

    Raises `WaitTimedOut` when no worker answers in time, and `RequestInvalid` when a row has no
    label; `locate` then gives the pointer to a row in the client's request.
    """
    seconds = services.settings.predict_wait_seconds
    if not services.waiter.wait(job.id, seconds):
        raise WaitTimedOut(
            f"No worker answered within {seconds:g} s. Unless it is erased the job goes on: "
            f"GET /jobs/{job.id}"
        )
    try:
        done = find_whole(services, job.id)
    except DatabaseDown as error:
        raise type(error)(
            "The database cannot be read now. The job was accepted, and unless it is erased its "
            f"results stay: GET /jobs/{job.id}"
        ) from error
    rows = read_rows(services, done)
    if done.job.state is not JobState.SUCCEEDED:
        faults = tuple(_fault(row, locate) for row in rows if "error" in row)
        raise RequestInvalid("Some rows have no label; errors says why.", faults=faults)
    return rows


def _fault(row: ResultRow, locate: Callable[[int], str]) -> Fault:
    error = row["error"]
    return Fault(pointer=locate(row["row"]), code=error["code"], detail=error["detail"])
