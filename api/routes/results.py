"""A job's results and errors, in the form the client asks for."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotAcceptable

from api.query import whole_number
from api.responses import json_response
from api.results.formats import csv_table, errors_table, ndjson
from api.results.rows import ResultShape, row_documents
from api.routes.finding import find_job
from api.services import Services
from shared.db.results import StoredResult, next_result, read_results
from shared.domain.errors import JobUnfinished, RequestInvalid
from shared.domain.jobs import Job
from shared.domain.manifest import Manifest

MOST_INLINE: Final = 1000
_PAGE: Final = 1000
_MOST_PAGE: Final = 10_000
# What a link to the next page repeats.
_KEPT: Final = frozenset({"format", "include", "partial"})
_FORMATS: Final = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
}


def blueprint(services: Services) -> Blueprint:
    """Make GET /jobs/<id>/results and GET /jobs/<id>/errors."""
    routes = Blueprint("results", __name__)

    @routes.get("/jobs/<job_id>/results")
    def results(job_id: str) -> Response:
        kind = _kind()
        job = _readable_job(services, job_id)
        shape = _shape(services, job)
        if kind == "application/json":
            return _page(services, shape)
        write = ndjson if kind == "application/x-ndjson" else csv_table
        stored = _stored(services, job, with_input=shape.include_input)
        return _download(write(stored, shape), kind, f"{job.id}-results")

    @routes.get("/jobs/<job_id>/errors")
    def errors(job_id: str) -> Response:
        job = _readable_job(services, job_id)
        stored = _stored(services, job, with_input=True, only_errors=True)
        table = errors_table(stored, _shape(services, job))
        return _download(table, "text/csv", f"{job.id}-errors")

    return routes


def read_rows(services: Services, job: Job, first: int, last: int) -> list[dict[str, Any]]:
    """Read rows `first` to `last` - 1 of `job`; rows without a result are left out."""
    shape = ResultShape(job=job, manifest=_manifest(services, job))
    if first == 0 and last == job.rows_total <= MOST_INLINE:
        # All of a small job: read together with those that others ask for at the same time.
        stored = services.results_of(job.id) or ()
        return [row for part in stored for row in row_documents(part, shape)]
    return _rows(services, shape, first, last)


def _rows(services: Services, shape: ResultShape, first: int, last: int) -> list[dict[str, Any]]:
    stored = services.database.read(
        lambda c: read_results(c, shape.job.id, first, last, with_input=shape.include_input)
    )
    return [row for part in stored for row in row_documents(part, shape, first, last)]


def _manifest(services: Services, job: Job) -> Manifest:
    return services.catalog.resolve(f"{job.model_name}@{job.model_version}")


def _shape(services: Services, job: Job) -> ResultShape:
    include = request.args.get("include", "")
    if include not in {"", "input"}:
        raise RequestInvalid("include can only be input.")
    return ResultShape(job=job, manifest=_manifest(services, job), include_input=include == "input")


def _readable_job(services: Services, job_id: str) -> Job:
    job = find_job(services, job_id)
    if not job.finished and request.args.get("partial") != "true":
        raise JobUnfinished(
            f"The job is {job.state}; poll {request.host_url}jobs/{job.id}, "
            "or ask for ?partial=true."
        )
    return job


def _kind() -> str:
    """Choose the media type by ?format= or else by Accept. Raises `NotAcceptable`."""
    asked = request.args.get("format")
    if asked is not None and asked not in _FORMATS:
        raise RequestInvalid(f"format must be one of {', '.join(_FORMATS)}.")
    if asked is not None:
        return _FORMATS[asked]
    kinds = list(_FORMATS.values())
    best = request.accept_mimetypes.best_match(kinds) if request.accept_mimetypes else kinds[0]
    if best is None:
        raise NotAcceptable(f"Results come as {', '.join(kinds)}.")
    return best


def _stored(
    services: Services, job: Job, *, with_input: bool, only_errors: bool = False
) -> Iterator[StoredResult]:
    """Give the results of `job` chunk by chunk, each read in a transaction of its own."""
    after = -1
    while True:
        read = partial(
            next_result, job=job.id, after=after, with_input=with_input, only_errors=only_errors
        )
        stored = services.database.read(read)
        if stored is None:
            return
        yield stored
        after = stored.seq


def _download(pieces: Iterator[bytes], kind: str, name: str) -> Response:
    extension = "csv" if kind == "text/csv" else "ndjson"
    charset = "; charset=utf-8" if kind == "text/csv" else ""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{extension}"'}
    return Response(pieces, headers=headers, content_type=kind + charset)


def _page(services: Services, shape: ResultShape) -> Response:
    limit = whole_number("limit", default=_PAGE, least=1, most=_MOST_PAGE)
    offset = whole_number("offset", default=0, least=0, most=2**53)
    total = shape.job.rows_total
    end = min(offset + limit, total)
    kept = {name: value for name, value in request.args.items() if name in _KEPT}
    query = urlencode({"limit": limit, "offset": end} | kept)
    following = f"/jobs/{shape.job.id}/results?{query}"
    document = {
        "results": _rows(services, shape, offset, end) if offset < end else [],
        "next": following if end < total else None,
        "total": total,
    }
    return json_response(document)
