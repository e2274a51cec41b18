"""Jobs: submit them and look at them."""

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
                "The job has finished within the time that was waited; or, with "
                "`validate_only`, a report, and no job."
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
            detail="The job as it is; with its results when it was waited for and is small.",
            content=(Content(shape=JobDocument),),
            headers=("ETag", "Retry-After", "Preference-Applied"),
        ),
        HTTPStatus.NOT_MODIFIED: ResponseSpec(
            detail="It is as it was.", headers=("ETag", "Preference-Applied")
        ),
    },
    errors=FIND,
    headers=("Prefer", "If-None-Match"),
)


def blueprint(services: Services) -> Blueprint:
    """Make POST /jobs and GET /jobs/<id>."""
    routes = Blueprint("jobs", __name__)

    @routes.post("/jobs")
    @_SUBMIT
    def submit() -> Response:
        """Submit rows as JSON, or a CSV of any size, and get a job.

        Options stand in the query, in JSON beside the rows, or in a form beside its file.
        """
        key = read_key(request)
        origin = replace(request_context(), key_hash=key)
        known = _known(services, origin)
        job = _replay(services, origin, known) if known else _submit(services, origin)
        if not isinstance(job, Job):
            return json_response(job)
        log_job(job)
        answer = _answer(services, job, accepted=True)
        if known:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer

    @routes.get("/jobs/<job_id>")
    @_GET
    def look(job_id: str) -> Response:
        """Look at a job, or wait for it."""
        return _answer(services, get_job(services, job_id), accepted=False)

    return routes


def _known(services: Services, origin: RequestContext) -> KnownKey | None:
    if origin.key_hash is None:
        return None
    find = partial(find_key, owner=origin.owner, key_hash=origin.key_hash)
    return services.database.read(find)


def _replay(services: Services, origin: RequestContext, known: KnownKey) -> Job:
    """Return the job that the same request made before; its body is read once more to be sure."""
    most = services.settings.max_upload_bytes
    if is_legacy(known):
        fingerprint = LegacyHash(request)
        if request.is_json:
            fingerprint.add(request.get_data(cache=False))
        else:
            request.max_content_length = most
            for _ in read_body(request, services.body_limits, fingerprint)[1]:
                pass
        check_fingerprint(known, fingerprint)
    else:
        if request.is_json:
            origin.add_rows(_read_rows())
        else:
            request.max_content_length = most
            for _ in origin.hashed(*read_body(request, services.body_limits)):
                pass
        check_fingerprint(known, origin.content)
    return get_job(services, known.job)


def _read_rows() -> dict[str, Any]:
    """Read a JSON job, whose options may stand in the query too."""
    return {**_query_options(), **read_json(request)}


def _submit(services: Services, origin: RequestContext) -> Job | ValidationReport:
    """Make a job of the request, or only report on its rows where that is asked for."""
    if request.is_json:
        asked = _read_rows()
        if asked.get("validate_only") is True:
            return services.validate_rows(asked)
        ensure_capacity(services)
        origin.add_rows(asked)
        return services.submit_rows(asked, origin)
    if request.mimetype in {"text/csv", "multipart/form-data"}:
        # Streamed: the limit on bodies that are held in memory does not apply.
        request.max_content_length = services.settings.max_upload_bytes
        document, stream = read_body(request, services.body_limits)
        if document.get("validate_only") is True:
            return services.validate_csv(document, stream)
        ensure_capacity(services)
        return services.submit_csv(document, origin.hashed(document, stream), origin)
    given = request.mimetype or "no content type"
    raise BodyTypeUnsupported(
        f"Send application/json, text/csv or multipart/form-data; the request has {given}."
    )


def _query_options() -> dict[str, Any]:
    """Read the query of a JSON job, without options of a CSV that are left at their defaults.

    Tools that send every documented default cannot know which of them belong to a CSV alone.
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


def _wait_asked() -> float | None:
    """Read `Prefer: wait=N` (RFC 7240) in seconds, at most 30."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return min(float(found[1]), _MAX_WAIT) if found else None


def _find_waited(
    services: Services, known: JobWithResults, seconds: float, *, accepted: bool
) -> JobWithResults:
    """Wait for a job and read it; one just accepted stays so without a database."""
    try:
        return wait_until_finished(services, known.job.id, seconds) or known
    except DatabaseDown:
        if not accepted:
            raise
        return known


def _answer(services: Services, job: Job, *, accepted: bool) -> Response:
    waited = _wait_asked()
    whole = JobWithResults(job=job, results=None)
    if waited is not None and not job.finished:
        whole = _find_waited(services, whole, waited, accepted=accepted)
        job = whole.job
    document = describe(services, job)
    headers = {}
    # Who did not ask to wait is told 202, also when a request that comes again finds it finished.
    waits = not job.finished or waited is None
    status = HTTPStatus.ACCEPTED if accepted and waits else HTTPStatus.OK
    if not job.finished:
        headers["Retry-After"] = "1"
    elif waited is not None and job.rows_total <= MAX_INLINE_ROWS:
        document["results"] = read_rows(services, whole)
    if waited is not None:
        headers["Preference-Applied"] = f"wait={waited:.0f}"
    if accepted:
        headers["Location"] = f"/jobs/{job.id}"
    response = json_response(document, status, headers)
    if request.method in {"GET", "HEAD"}:
        response.add_etag()
        response.make_conditional(request)
    return response
