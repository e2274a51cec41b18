"""What a client may do to a job: cancel it, run it again, delete it."""

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response

from api.documents import JobDocument
from api.openapi.operation import FIND, Answer, Content, Operation, ok
from api.responses import json_response
from api.routes.finding import check_room, describe, find_job, note_job, read_id, read_origin
from api.services import Services, new_job_id, utc_now
from shared.db.purges import soft_delete
from shared.db.retries import retry_job
from shared.db.stops import stop_job
from shared.domain.errors import (
    JobFinished,
    JobUnfinished,
    NothingToRetry,
    Overloaded,
    QuotaExceeded,
)
from shared.domain.jobs import JobState

_RETRY: Final = Operation(
    tag="jobs",
    answers={
        HTTPStatus.ACCEPTED: Answer(
            detail="A new job runs what had not been run.",
            content=(Content(shape=JobDocument),),
            headers=("Location", "Retry-After"),
        )
    },
    errors=(*FIND, JobUnfinished, NothingToRetry, Overloaded, QuotaExceeded),
)
_DELETE: Final = Operation(
    tag="jobs",
    answers={HTTPStatus.NO_CONTENT: Answer(detail="The job is deleted.")},
    errors=(*FIND, JobUnfinished),
)


def blueprint(services: Services) -> Blueprint:
    """Make POST /jobs/<id>/cancel, POST /jobs/<id>/retry and DELETE /jobs/<id>."""
    routes = Blueprint("changes", __name__)
    database = services.database

    @routes.post("/jobs/<job_id>/cancel")
    @Operation(tag="jobs", answers=ok(JobDocument), errors=(*FIND, JobFinished))
    def cancel(job_id: str) -> Response:
        """Stop a job.

        It takes effect at once: a chunk that a worker holds can no longer write its result.
        """
        job = find_job(services, job_id)
        if not database.write(lambda c: stop_job(c, job.id, JobState.CANCELED)):
            state = find_job(services, job_id).state
            raise JobFinished(f"The job is {state}; only an unfinished job can be canceled.")
        return json_response(describe(services, find_job(services, job_id)))

    @routes.post("/jobs/<job_id>/retry")
    @_RETRY
    def retry(job_id: str) -> Response:
        """Run again what was not run, as a new job.

        Sent twice it makes two jobs: if no answer comes, look for `retry_of` in the list first.
        """
        return _retry(services, job_id)

    @routes.delete("/jobs/<job_id>")
    @_DELETE
    def delete(job_id: str) -> Response:
        """Delete a finished job.

        It is gone at once (410); its rows and results are deleted from the database shortly after.
        """
        job = find_job(services, job_id)
        if not database.write(lambda c: soft_delete(c, job.id)):
            state = find_job(services, job_id).state
            raise JobUnfinished(f"The job is {state}; cancel it first.")
        return Response(status=HTTPStatus.NO_CONTENT)

    return routes


def _retry(services: Services, job_id: str) -> Response:
    check_room(services)
    find_job(services, job_id)
    again = new_job_id()
    dispatches = services.database.write(
        lambda c: retry_job(c, read_id(job_id), again, utc_now(), services.settings.outbox)
    )
    trail = read_origin().trail
    services.publisher.offer([replace(dispatch, trail=trail) for dispatch in dispatches])
    headers = {"Location": f"/jobs/{again}", "Retry-After": "1"}
    job = find_job(services, again)
    note_job(job)
    return json_response(describe(services, job), HTTPStatus.ACCEPTED, headers)
