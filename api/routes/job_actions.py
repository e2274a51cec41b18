"""Actions on a job: cancel, retry and delete."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response

from api.bootstrap import Services, new_job_id
from api.http.responses import json_response
from api.jobs.job_service import (
    describe,
    ensure_capacity,
    get_job,
    log_job,
    parse_job_id,
    request_context,
)
from api.openapi.operation import FIND, Content, Operation, ResponseSpec, ok
from api.schemas.job import JobDocument
from shared.db.jobs.cancel import is_deleted, is_in_state, stop_job
from shared.db.jobs.retry import retry_job
from shared.db.queries.jobs import are_stored
from shared.db.sweeps.prune import soft_delete
from shared.domain.errors import (
    BodyTooLarge,
    CommitUncertain,
    DatabaseDown,
    JobFinished,
    JobUnfinished,
    NothingToRetry,
    Overloaded,
    QuotaExceeded,
)
from shared.domain.jobs import Job, JobState

_RETRY: Final = Operation(
    tag="jobs",
    responses={
        HTTPStatus.ACCEPTED: ResponseSpec(
            detail="A new job runs the remaining rows.",
            content=(Content(shape=JobDocument),),
            headers=("Location", "Retry-After"),
        )
    },
    errors=(*FIND, JobUnfinished, NothingToRetry, BodyTooLarge, Overloaded, QuotaExceeded),
)
_DELETE: Final = Operation(
    tag="jobs",
    responses={HTTPStatus.NO_CONTENT: ResponseSpec(detail="The job is deleted.")},
    errors=(*FIND, JobUnfinished),
)


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the cancel, retry and delete routes."""
    routes = Blueprint("changes", __name__)
    database = services.database

    @routes.post("/jobs/<job_id>/cancel")
    @Operation(tag="jobs", responses=ok(JobDocument), errors=(*FIND, JobFinished))
    def cancel(job_id: str) -> Response:
        """Cancel a job.

        Cancellation takes effect at once: results of chunks still running are discarded.
        """
        return json_response(describe(services, _cancel(services, job_id)))

    @routes.post("/jobs/<job_id>/retry")
    @_RETRY
    def retry(job_id: str) -> Response:
        """Retry the remaining rows of a job as a new job.

        The request is not idempotent: if no response arrives, look for `retry_of` in the list of
        jobs before sending it again.
        """
        return _retry(services, job_id)

    @routes.delete("/jobs/<job_id>")
    @_DELETE
    def delete(job_id: str) -> Response:
        """Delete a finished job.

        The job is gone at once (410); its rows and results are deleted shortly after.
        """
        job = get_job(services, job_id)
        with uncertain("The job may have been deleted; fetch it before you try again."):
            deleted = database.write(
                lambda c: soft_delete(c, job.id), lambda c: is_deleted(c, job.id)
            )
        if not deleted:
            state = get_job(services, job_id).state
            raise JobUnfinished(f"The job is {state}; cancel it first.")
        return Response(status=HTTPStatus.NO_CONTENT)

    return routes


@contextmanager
def uncertain(detail: str) -> Iterator[None]:
    """Raise `CommitUncertain` with `detail` when it is unknown whether a change was committed."""
    try:
        yield
    except CommitUncertain as error:
        raise CommitUncertain(detail) from error


def _cancel(services: Services, job_id: str) -> Job:
    """Cancel a job and return it.

    Raise `JobFinished` when it had ended before, or `CommitUncertain`.
    """
    job = get_job(services, job_id)
    uncertainty = "The job may have been canceled; fetch it before you try again."
    if not job.finished:
        with uncertain(uncertainty):
            services.database.write(
                lambda c: stop_job(c, job.id, JobState.CANCELED),
                lambda c: is_in_state(c, job.id, JobState.CANCELED),
            )
        try:
            after = get_job(services, job_id)
        except DatabaseDown as error:
            raise CommitUncertain(uncertainty) from error
        # It was unfinished a moment ago: whoever canceled it, the request is fulfilled.
        if after.state is JobState.CANCELED:
            return after
        job = after
    raise JobFinished(f"The job is {job.state}; only an unfinished job can be canceled.")


def _retry(services: Services, job_id: str) -> Response:
    ensure_capacity(services)
    get_job(services, job_id)
    moment = services.clock()
    new_id = new_job_id(moment)
    uncertainty = (
        f"The retry may have been accepted as the job {new_id}; fetch it before you try again."
    )
    with uncertain(uncertainty):
        dispatches = services.database.write(
            lambda c: retry_job(
                c, parse_job_id(job_id), new_id, moment, services.settings.dispatch_policy
            ),
            lambda c: are_stored(c, [new_id]),
        )
    trace = request_context().trace
    services.publisher.enqueue([replace(dispatch, trace=trace) for dispatch in dispatches])
    headers = {"Location": f"/jobs/{new_id}", "Retry-After": "1"}
    try:
        job = get_job(services, new_id)
    except DatabaseDown as error:
        raise CommitUncertain(uncertainty) from error
    services.manifests.store_for(job)
    log_job(job)
    return json_response(describe(services, job), HTTPStatus.ACCEPTED, headers)
