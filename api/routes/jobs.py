"""Jobs: submit them and look at them."""

import re
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, request

from api.csv.body import read_body
from api.documents import job_document
from api.reading import read_json
from api.responses import json_response
from api.routes.finding import find_job
from api.routes.results import read_rows
from api.services import Services
from shared.domain.errors import BodyTypeUnsupported
from shared.domain.jobs import Job

MOST_INLINE: Final = 1000
_MOST_WAIT: Final = 30.0
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", re.IGNORECASE)


def blueprint(services: Services) -> Blueprint:
    """Make POST /jobs and GET /jobs/<id>."""
    routes = Blueprint("jobs", __name__)

    @routes.post("/jobs")
    def submit() -> Response:
        job = _submit(services)
        waited = _wait_asked()
        if waited is not None and services.waiter.wait(job.id, waited):
            job = find_job(services, job.id)
        return _answer(services, job, waited, accepted=True)

    @routes.get("/jobs/<job_id>")
    def look(job_id: str) -> Response:
        job = find_job(services, job_id)
        waited = _wait_asked()
        if waited is not None and not job.finished and services.waiter.wait(job.id, waited):
            job = find_job(services, job_id)
        return _answer(services, job, waited, accepted=False)

    return routes


def _submit(services: Services) -> Job:
    services.pressure.check()
    if request.is_json:
        return services.submit(read_json(request))
    if request.mimetype in {"text/csv", "multipart/form-data"}:
        # Streamed: the limit on bodies that are held in memory does not apply.
        request.max_content_length = services.settings.max_upload_bytes
        document, stream = read_body(request, services.settings.max_upload_bytes)
        return services.receive(document, stream)
    given = request.mimetype or "no content type"
    raise BodyTypeUnsupported(
        f"Send application/json, text/csv or multipart/form-data; the request has {given}."
    )


def _wait_asked() -> float | None:
    """Read `Prefer: wait=N` (RFC 7240) in seconds, at most 30."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return min(float(found[1]), _MOST_WAIT) if found else None


def _answer(services: Services, job: Job, waited: float | None, *, accepted: bool) -> Response:
    document = job_document(job)
    headers = {}
    status = HTTPStatus.OK
    if not job.finished:
        status = HTTPStatus.ACCEPTED if accepted else HTTPStatus.OK
        headers["Retry-After"] = "1"
    elif waited is not None and job.rows_total <= MOST_INLINE:
        document["results"] = read_rows(services, job, 0, job.rows_total)
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited:.0f}"
    if accepted:
        headers["Location"] = f"/jobs/{job.id}"
    return json_response(document, status, headers)
