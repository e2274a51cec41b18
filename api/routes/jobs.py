"""Submit and fetch jobs."""

import re
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from api.bootstrap import MAX_INLINE_ROWS, Services
from api.http.idempotency import LegacyHash, RequestContext, check_fingerprint, is_legacy, read_key
from api.http.json_body import read_json
from api.http.responses import json_response
from api.http.upload_body import parse_options, read_body
from api.jobs.job_service import (
    describe,
    ensure_capacity,
    get_job,
    log_job,
    request_context,
    wait_until_finished,
)
from api.jobs.validate_only import ValidationReport
from api.openapi.components import BEAN, CSV_SAMPLE
from api.openapi.operation import CSV, FIND, Content, Operation, ResponseSpec
from api.routes.results import read_rows
from api.schemas.job import JobDocument
from api.schemas.job_options import CsvForm, CsvOptions, JsonJob
from shared.db.idempotency import KnownKey, find_key
from shared.db.queries.results import JobWithResults
from shared.domain.errors import (
    BodyMalformed,
    BodyTooLarge,
    BodyTooSlow,
    BodyTypeUnsupported,
    DatabaseDown,
    IntakeFull,
    JobDeleted,
    JobNotFound,
    KeyInFlight,
    KeyReused,
    KeyTaken,
    Overloaded,
    QuotaExceeded,
    RequestInvalid,
    UploadIncomplete,
    UploadStopped,
)
from shared.domain.jobs import Job

_MAX_WAIT: Final = 30.0
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", re.IGNORECASE)


_ACCEPTED: Final = (
    "Location",
    "Retry-After",
    "Preference-Applied",
    "Idempotency-Replayed",
)
_SUBMIT: Final = Operation(
    tag="jobs",
    responses={
        HTTPStatus.ACCEPTED: ResponseSpec(
            detail="The job is stored and will be run.",
            content=(Content(shape=JobDocument),),
            headers=_ACCEPTED,
        ),
        HTTPStatus.OK: ResponseSpec(
            detail=(
                "The job has finished during the wait; or, with `validate_only`, a validation "
                "report, and no job is created."
            ),
            content=(Content(shape=JobDocument | ValidationReport),),
            headers=_ACCEPTED,
        ),
    },
    errors=(
        BodyMalformed,
        UploadIncomplete,
        BadRequest,
        JobNotFound,
        JobDeleted,
        KeyInFlight,
        KeyTaken,
        UploadStopped,
        BodyTooLarge,
        BodyTooSlow,
        BodyTypeUnsupported,
        RequestInvalid,
        KeyReused,
        Overloaded,
        IntakeFull,
        QuotaExceeded,
        DatabaseDown,
    ),
    query=CsvOptions,
    headers=("Prefer", "Idempotency-Key", "Content-Encoding"),
    body=(
        Content(
            shape=JsonJob,
            examples={
                "a bean": {"instances": [BEAN]},
                "with probabilities": {
                    "instances": [BEAN],
                    "model": "drybeans",
                    "outputs": ["label", "probabilities"],
                    "labels": {"batch": "7"},
                },
            },
        ),
        Content(kind=CSV, examples={"a bean": CSV_SAMPLE}),
        Content(kind="multipart/form-data", shape=CsvForm),
    ),
)
_GET: Final = Operation(
    tag="jobs",
    responses={
        HTTPStatus.OK: ResponseSpec(
            detail="The job; with its results if the request wait for it and it is small.",
            content=(Content(shape=JobDocument),),
            headers=("ETag", "Retry-After", "Preference-Applied"),
        ),
        HTTPStatus.NOT_MODIFIED: ResponseSpec(
            detail="The job has not changed.", headers=("ETag", "Preference-Applied")
        ),
    },
    errors=FIND,
    headers=("Prefer", "If-None-Match"),
)


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of POST /jobs and GET /jobs/<id>."""
    routes = Blueprint("jobs", __name__)

    @routes.post("/jobs")
    @_SUBMIT
    def submit() -> Response:
        """Submit rows as JSON or CSV and create a job.

        Options may be query parameters, members of the JSON body, or fields of the form.
        """
        key = read_key(request)
        context = replace(request_context(), key_hash=key)
        known = _find_known_key(services, context)
        job = _replay(services, context, known) if known else _submit(services, context)
        if not isinstance(job, Job):
            return json_response(job)
        log_job(job)
        response = _job_response(services, job, accepted=True)
        if known:
            response.headers["Idempotency-Replayed"] = "true"
        return response

    @routes.get("/jobs/<job_id>")
    @_GET
    def show(job_id: str) -> Response:
        """Fetch a job, optionally waiting for it to finish."""
        return _job_response(services, get_job(services, job_id), accepted=False)

    return routes


def _find_known_key(services: Services, context: RequestContext) -> KnownKey | None:
    if context.key_hash is None:
        return None
    find = partial(find_key, owner=context.owner, key_hash=context.key_hash)
    return services.database.read(find)


def _replay(services: Services, context: RequestContext, known: KnownKey) -> Job:
    """Return the job that an earlier request with the same key created.

    Raise `KeyReused` when the body, which is read and hashed, differs from the earlier one.
    """
    max_bytes = services.settings.max_upload_bytes
    if is_legacy(known):
        fingerprint = LegacyHash(request)
        if request.is_json:
            fingerprint.add(request.get_data(cache=False))
        else:
            request.max_content_length = max_bytes
            for _ in read_body(request, services.body_limits, fingerprint)[1]:
                pass
        check_fingerprint(known, fingerprint)
    else:
        if request.is_json:
            context.add_rows(_read_rows())
        else:
            request.max_content_length = max_bytes
            for _ in context.hashed(*read_body(request, services.body_limits)):
                pass
        check_fingerprint(known, context.content)
    return get_job(services, known.job)


def _read_rows() -> dict[str, Any]:
    """Return a JSON job, whose options may also be in the query."""
    return {**_query_options(), **read_json(request)}


def _submit(services: Services, context: RequestContext) -> Job | ValidationReport:
    """Create the job of the request, or return a report with `validate_only`."""
    if request.is_json:
        document = _read_rows()
        if document.get("validate_only") is True:
            return services.validate_rows(document)
        ensure_capacity(services)
        context.add_rows(document)
        return services.submit_rows(document, context)
    if request.mimetype in {"text/csv", "multipart/form-data"}:
        # Streamed: the limit of bodies that are read into memory does not apply.
        request.max_content_length = services.settings.max_upload_bytes
        options, stream = read_body(request, services.body_limits)
        if options.get("validate_only") is True:
            return services.validate_csv(options, stream)
        ensure_capacity(services)
        return services.submit_csv(options, context.hashed(options, stream), context)
    given = request.mimetype or "no content type"
    raise BodyTypeUnsupported(
        f"Send application/json, text/csv or multipart/form-data; the request has {given}."
    )


def _query_options() -> dict[str, Any]:
    """Return the query of a JSON job without options of a CSV that have their default values.

    Tools that send every documented default cannot know which options only a CSV has.
    """
    if not request.query_string:
        return {}
    options = parse_options(request.args.to_dict(flat=False))
    of_csv = CsvOptions.model_fields.keys() - JsonJob.model_fields.keys()
    return {
        name: value
        for name, value in options.items()
        if name not in of_csv or value != CsvOptions.model_fields[name].default
    }


def _requested_wait() -> float | None:
    """Return N of `Prefer: wait=N` (RFC 7240) in seconds, at most 30; None without it."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return min(float(found[1]), _MAX_WAIT) if found else None


def _wait_for_job(
    services: Services, known: JobWithResults, seconds: float, *, accepted: bool
) -> JobWithResults:
    """Wait for a job and return it; a job just accepted is returned even if the database fails."""
    try:
        return wait_until_finished(services, known.job.id, seconds) or known
    except DatabaseDown:
        if not accepted:
            raise
        return known


def _job_response(services: Services, job: Job, *, accepted: bool) -> Response:
    wait = _requested_wait()
    found = JobWithResults(job=job, results=None)
    if wait is not None and not job.finished:
        found = _wait_for_job(services, found, wait, accepted=accepted)
        job = found.job
    document = describe(services, job)
    headers = {}
    # Without a wait the status is 202, even if a retried request finds its job finished.
    pending = not job.finished or wait is None
    status = HTTPStatus.ACCEPTED if accepted and pending else HTTPStatus.OK
    if not job.finished:
        headers["Retry-After"] = "1"
    elif wait is not None and job.rows_total <= MAX_INLINE_ROWS:
        document["results"] = read_rows(services, found)
    if wait is not None:
        headers["Preference-Applied"] = f"wait={wait:.0f}"
    if accepted:
        headers["Location"] = f"/jobs/{job.id}"
    response = json_response(document, status, headers)
    if request.method in {"GET", "HEAD"}:
        response.add_etag()
        response.make_conditional(request)
    return response
