"""A job's webhook, sent again."""

from http import HTTPStatus

from flask import Blueprint, Response

from api.bootstrap import Services
from api.http.responses import json_response
from api.jobs.job_service import describe, get_job
from api.openapi.operation import FIND, Content, Operation, ResponseSpec
from api.routes.job_actions import uncertain
from api.schemas.job import JobDocument
from shared.db.webhooks import redeliver
from shared.domain.errors import JobUnfinished, NoWebhook


def blueprint(services: Services) -> Blueprint:
    """Make POST /jobs/<id>/webhook/redeliver."""
    routes = Blueprint("webhooks", __name__)

    @routes.post("/jobs/<job_id>/webhook/redeliver")
    @Operation(
        tag="jobs",
        responses={
            HTTPStatus.ACCEPTED: ResponseSpec(
                detail="It will be sent.", content=(Content(shape=JobDocument),)
            )
        },
        errors=(*FIND, NoWebhook, JobUnfinished),
    )
    def deliver_again(job_id: str) -> Response:
        """Send a finished job's webhook once more, whatever became of it before."""
        job = get_job(services, job_id)
        if job.webhook_url is None:
            raise NoWebhook
        with uncertain("The webhook may be sent again; look at the job before you try again."):
            sent_again = services.database.write(lambda c: redeliver(c, job.id))
        if not sent_again:
            raise JobUnfinished(f"The job is {job.state}; its webhook is sent when it has ended.")
        return json_response(describe(services, job), HTTPStatus.ACCEPTED)

    return routes
