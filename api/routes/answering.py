"""Synchronous predictions: submit a job and wait for it, for /predict and the inference routes."""

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
"""Errors that fail a job independently of its rows, by the code of the job's failure."""

_INSTANCES: Final = "/instances"


def submit_and_log(
    services: Services, document: Mapping[str, Any], rows_at: str = _INSTANCES
) -> Job:
    """Submit the job in `document` for the caller and add it to the access log.

    Raise the errors of a submission; errors of rows point to `rows_at` in the client's request.
    """
    ensure_capacity(services)
    try:
        job = services.submit_rows(document, request_context())
    except RequestInvalid as error:
        faults = tuple(_relocate(field_error, rows_at) for field_error in error.faults)
        raise RequestInvalid(error.detail, faults=faults) from None
    log_job(job)
    return job


def await_rows(services: Services, job: Job, locate: Callable[[int], str]) -> list[ResultRow]:
    """Wait for `job` and return a document for each row, every one with a label.

    `locate` returns the JSON pointer of a row in the client's request. Raise `WaitTimedOut` when
    the job does not finish in time, `RequestInvalid` when a row has no label, and the job's own
    error when it failed independently of its rows.
    """
    seconds = services.settings.predict_wait_seconds
    try:
        done = wait_until_finished(services, job.id, seconds)
    except DatabaseDown as error:
        raise type(error)(
            "The database is unavailable. The job was accepted, and unless it is deleted its "
            f"results remain available: GET /jobs/{job.id}"
        ) from error
    if done is None:
        raise WaitTimedOut(
            f"The job did not finish within {seconds:g} s. Unless it is deleted it continues: "
            f"GET /jobs/{job.id}"
        )
    _check_failure(done.job)
    rows = read_rows(services, done)
    if done.job.state is not JobState.SUCCEEDED:
        faults = tuple(_field_error(row, locate) for row in rows if "error" in row)
        raise RequestInvalid(_no_label(len(rows), faults), faults=faults)
    return rows


def _check_failure(job: Job) -> None:
    if job.failure is not None and job.failure.code in _FAILURES:
        raise _FAILURES[job.failure.code](job.failure.detail)
    if job.state is JobState.CANCELED:
        raise JobCanceled
    if job.state is JobState.EXPIRED:
        raise WaitTimedOut("The job passed its time limit before every row had a label.")


def _relocate(error: FieldError, rows_at: str) -> FieldError:
    if not error.pointer.startswith(_INSTANCES):
        return error
    return replace(error, pointer=rows_at + error.pointer.removeprefix(_INSTANCES))


def _no_label(rows: int, faults: Sequence[FieldError]) -> str:
    if rows == 1 and faults:
        return f"The only row cannot be predicted. {faults[0].detail}"
    counted = "1 row has" if len(faults) == 1 else f"{len(faults)} rows have"
    return f"{counted} no label; see errors."


def _field_error(row: ResultRow, locate: Callable[[int], str]) -> FieldError:
    error = row["error"]
    return FieldError(pointer=locate(row["row"]), code=error["code"], detail=error["detail"])
