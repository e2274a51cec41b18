"""Jobs that are waited for: what /predict and the inference protocols have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from werkzeug.exceptions import BadRequest

from api.bootstrap import Services
from api.jobs.job_service import ensure_capacity, log_job, request_context, wait_until_finished
from api.openapi.operation import FIND, Errors
from api.routes.results import read_rows
from api.schemas.job import ResultRow
from shared.domain.errors import (
    BodyMalformed,
    BodyTooLarge,
    BodyTooSlow,
    BodyTypeUnsupported,
    DatabaseDown,
    FieldError,
    IntakeFull,
    JobCanceled,
    ModelUnavailable,
    Overloaded,
    PredictionFailed,
    QuotaExceeded,
    RequestInvalid,
    UploadIncomplete,
    WaitTimedOut,
    WorkerDied,
)
from shared.domain.jobs import Job, JobState

WAITED: Final[Errors] = (
    BodyMalformed,
    BadRequest,
    BodyTooLarge,
    BodyTooSlow,
    BodyTypeUnsupported,
    RequestInvalid,
    UploadIncomplete,
    Overloaded,
    IntakeFull,
    QuotaExceeded,
    DatabaseDown,
    WaitTimedOut,
    ModelUnavailable,
    PredictionFailed,
    WorkerDied,
    JobCanceled,
    *FIND,
)
"""The errors of every call that submits a job and waits for it."""

_FAILURES: Final = {error.code: error for error in (ModelUnavailable, PredictionFailed, WorkerDied)}
"""What ends a job through no fault of its rows, by the code that the job keeps."""

_INSTANCES: Final = "/instances"


def submit_and_log(
    services: Services, document: Mapping[str, Any], rows_at: str = _INSTANCES
) -> Job:
    """Submit the job in `document` in the caller's name.

    Raises what a job raises; the errors of its rows point to `rows_at` in the client's request.
    """
    ensure_capacity(services)
    try:
        job = services.submit_rows(document, request_context())
    except RequestInvalid as error:
        faults = tuple(_moved(fault, rows_at) for fault in error.faults)
        raise RequestInvalid(error.detail, faults=faults) from None
    log_job(job)
    return job


def await_rows(services: Services, job: Job, locate: Callable[[int], str]) -> list[ResultRow]:
    """Wait for `job` and give a document for each row, every one with a label.

    Raises `WaitTimedOut` when no worker answers in time, `RequestInvalid` when a row is at fault
    and has no label, `locate` then gives the pointer to a row in the client's request, and an
    error of its own when the job failed through no fault of its rows.
    """
    seconds = services.settings.predict_wait_seconds
    try:
        done = wait_until_finished(services, job.id, seconds)
    except DatabaseDown as error:
        raise type(error)(
            "The database cannot be read now. The job was accepted, and unless it is erased its "
            f"results stay: GET /jobs/{job.id}"
        ) from error
    if done is None:
        raise WaitTimedOut(
            f"No worker answered within {seconds:g} s. Unless it is erased the job goes on: "
            f"GET /jobs/{job.id}"
        )
    _check_failure(done.job)
    rows = read_rows(services, done)
    if done.job.state is not JobState.SUCCEEDED:
        faults = tuple(_fault(row, locate) for row in rows if "error" in row)
        raise RequestInvalid(_no_label(len(rows), faults), faults=faults)
    return rows


def _check_failure(job: Job) -> None:
    if job.failure is not None and job.failure.code in _FAILURES:
        raise _FAILURES[job.failure.code](job.failure.detail)
    if job.state is JobState.CANCELED:
        raise JobCanceled
    if job.state is JobState.EXPIRED:
        raise WaitTimedOut("The job passed its time limit before every row had a label.")


def _moved(fault: FieldError, rows_at: str) -> FieldError:
    if not fault.pointer.startswith(_INSTANCES):
        return fault
    return replace(fault, pointer=rows_at + fault.pointer.removeprefix(_INSTANCES))


def _no_label(rows: int, faults: Sequence[FieldError]) -> str:
    if rows == 1 and faults:
        return f"The only row cannot be predicted. {faults[0].detail}"
    counted = "1 row has" if len(faults) == 1 else f"{len(faults)} rows have"
    return f"{counted} no label; errors says why."


def _fault(row: ResultRow, locate: Callable[[int], str]) -> FieldError:
    error = row["error"]
    return FieldError(pointer=locate(row["row"]), code=error["code"], detail=error["detail"])
