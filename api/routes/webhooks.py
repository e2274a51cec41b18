"""Redeliver the webhook of a job."""

from http import HTTPStatus

from flask import Blueprint, Response

from api.bootstrap import Services
from api.http.responses import json_response
from api.jobs.job_service import describe, get_job
from api.openapi.operation import FIND, Content, Operation, ResponseSpec
from api.routes.job_actions import uncertain
from api.schemas.job import JobDocument
from shared.db.webhooks import redeliver as schedule_redelivery
from shared.domain.errors import JobUnfinished, NoWebhook


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of POST /jobs/<id>/webhook/redeliver."""
    routes = Blueprint("webhooks", __name__)

    @routes.post("/jobs/<job_id>/webhook/redeliver")
    @Operation(
        tag="jobs",
        responses={
            HTTPStatus.ACCEPTED: ResponseSpec(
                detail="The webhook will be sent.", content=(Content(shape=JobDocument),)
            )
        },
        errors=(*FIND, NoWebhook, JobUnfinished),
    )
    def redeliver(job_id: str) -> Response:
        """Redeliver the webhook of a finished job, whether or not it was delivered before."""
        job = get_job(services, job_id)
        if job.webhook_url is None:
            raise NoWebhook
        with uncertain("The webhook may be redelivered; fetch the job before you try again."):
            scheduled = services.database.write(lambda c: schedule_redelivery(c, job.id))
        if not scheduled:
            raise JobUnfinished(f"The job is {job.state}; its webhook is sent when it finishes.")
        return json_response(describe(services, job), HTTPStatus.ACCEPTED)

    return routes
