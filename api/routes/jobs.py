"""Jobs: submit, look, read results."""

import re
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, Response, request

from api.csv.body import read_body
from api.documents import job_document, result_rows
from api.reading import read_json
from api.responses import json_response
from api.services import Services
from shared.db.jobs import read_job, read_results
from shared.domain.errors import BodyTypeUnsupported, JobNotFound, JobUnfinished, RequestInvalid
from shared.domain.jobs import Job, JobId

MOST_INLINE: Final = 1000
_MOST_WAIT: Final = 30.0
_PAGE: Final = 1000
_MOST_PAGE: Final = 10_000
_MOST_DIGITS: Final = 18
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", re.IGNORECASE)


def blueprint(services: Services) -> Blueprint:
    """Make the routes under /jobs."""
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

    @routes.get("/jobs/<job_id>/results")
    def results(job_id: str) -> Response:
        job = find_job(services, job_id)
        if not job.finished and request.args.get("partial") != "true":
            raise JobUnfinished(
                f"The job is {job.state}; poll {request.host_url}jobs/{job.id}, "
                "or ask for ?partial=true."
            )
        return _page(services, job)

    return routes


def _submit(services: Services) -> Job:
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


def find_job(services: Services, job_id: str) -> Job:
    """Read the job that `job_id` names. Raises `JobNotFound`, also for what is no job id."""
    try:
        canonical = JobId(str(UUID(job_id)))
    except ValueError:
        raise JobNotFound from None
    job = services.database.read(lambda connection: read_job(connection, canonical))
    if job is None:
        raise JobNotFound
    return job


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


def read_rows(services: Services, job: Job, first: int, last: int) -> list[dict[str, Any]]:
    """Read rows `first` to `last` - 1 of `job` as documents; rows without a result are left out."""
    manifest = services.catalog.resolve(f"{job.model_name}@{job.model_version}")
    stored = services.database.read(lambda c: read_results(c, job.id, first, last))
    return [row for part in stored for row in result_rows(part, manifest.classes, first, last)]


def _page(services: Services, job: Job) -> Response:
    limit = _number("limit", default=_PAGE, least=1, most=_MOST_PAGE)
    offset = _number("offset", default=0, least=0, most=2**53)
    end = min(offset + limit, job.rows_total)
    more = end < job.rows_total
    following = f"/jobs/{job.id}/results?limit={limit}&offset={end}"
    document = {
        "results": read_rows(services, job, offset, end),
        "next": following if more else None,
        "total": job.rows_total,
    }
    return json_response(document)


def _number(name: str, *, default: int, least: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (
        text.isascii()
        and text.isdigit()
        and len(text) <= _MOST_DIGITS
        and least <= int(text) <= most
    ):
        raise RequestInvalid(f"{name} must be a whole number from {least} to {most}.")
    return int(text)
