"""Results and failed rows of a job, as JSON, NDJSON or CSV."""

from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from pydantic import Field
from werkzeug.exceptions import NotAcceptable

from api.bootstrap import MAX_INLINE_ROWS, Services
from api.http.query_params import DIGITS, Query, read_query
from api.jobs.exporters import csv_table, errors_table, json_page, ndjson
from api.jobs.job_service import get_job
from api.jobs.result_rows import ResultShape, row_documents
from api.openapi.operation import CSV, FIND, Content, Operation, ResponseSpec
from api.schemas.job import ResultRow, ResultsPage
from shared.db.queries.results import (
    JobWithResults,
    StoredResult,
    first_result,
    next_result,
    next_row,
    read_input_width,
    read_results,
)
from shared.domain.errors import JobUnfinished, RequestInvalid
from shared.domain.jobs import Job

_MAX_PAGE_ROWS: Final = 10_000
_FORMATS: Final = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
}


class PartialQuery(Query):
    """Whether partial results of an unfinished job are accepted."""

    partial: bool = Field(
        default=False, description="Return the available results of an unfinished job."
    )


class ResultsQuery(PartialQuery):
    """Which results to return, and in which format."""

    format: Literal["json", "ndjson", "csv"] | None = Field(
        default=None, description="The format of the results; defaults to the Accept header."
    )
    include: Literal["input"] | None = Field(
        default=None, description="Include the features of each row."
    )
    limit: Annotated[int, Field(ge=1, le=_MAX_PAGE_ROWS), DIGITS] = Field(
        default=1000, description="The maximum number of rows of a JSON page."
    )
    offset: Annotated[int, Field(ge=0, le=2**53), DIGITS] = Field(
        default=0, description="The first row of a JSON page, from 0."
    )


_RESULTS: Final = Operation(
    tag="jobs",
    responses={
        HTTPStatus.OK: ResponseSpec(
            detail="A page of JSON, or all rows as a file.",
            content=(
                Content(shape=ResultsPage),
                Content(kind="application/x-ndjson"),
                Content(kind=CSV),
            ),
            headers=("Content-Disposition",),
        )
    },
    errors=(*FIND, RequestInvalid, JobUnfinished, NotAcceptable),
    query=ResultsQuery,
)
_ERRORS: Final = Operation(
    tag="jobs",
    responses={
        HTTPStatus.OK: ResponseSpec(
            detail="The failed rows, each with its error and its original columns.",
            content=(Content(kind=CSV),),
            headers=("Content-Disposition",),
        )
    },
    errors=(*FIND, RequestInvalid, JobUnfinished),
    query=PartialQuery,
)


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of GET /jobs/<id>/results and GET /jobs/<id>/errors."""
    routes = Blueprint("results", __name__)

    @routes.get("/jobs/<job_id>/results")
    @_RESULTS
    def results(job_id: str) -> Response:
        """Return a label or an error for each row of a job, in input order."""
        query = read_query(ResultsQuery)
        kind = _kind(query.format)
        job = _readable_job(services, job_id, query)
        shape = _shape(services, job, include_input=query.include == "input")
        if kind == "application/json":
            return _page(services, shape, query)
        write = ndjson if kind == "application/x-ndjson" else csv_table
        stored = _stored(services, job, with_input=shape.include_input)
        return _download(services, write(stored, shape), kind, f"{job.id}-results")

    @routes.get("/jobs/<job_id>/errors")
    @_ERRORS
    def errors(job_id: str) -> Response:
        """Return the failed rows as a CSV to fix and resubmit."""
        job = _readable_job(services, job_id, read_query(PartialQuery))
        stored = _stored(services, job, with_input=True, only_errors=True)
        table = errors_table(stored, _shape(services, job))
        return _download(services, table, "text/csv", f"{job.id}-errors")

    return routes


def read_rows(services: Services, found: JobWithResults) -> list[ResultRow]:
    """Return all rows of a job; rows without a result are omitted."""
    job, stored = found.job, found.results
    if not job.rows_total:
        return []
    shape = _shape(services, job)
    if stored is None and job.rows_total <= MAX_INLINE_ROWS:
        # Small jobs of concurrent requests are read in one query.
        stored = services.load_results(job.id) or ()
    if stored is None:
        return _rows(services, shape, 0, job.rows_total)
    return [row for part in stored for row in row_documents(part, shape)]


def _rows(services: Services, shape: ResultShape, first: int, last: int) -> list[ResultRow]:
    stored = services.database.read(lambda c: read_results(c, shape.job.id, first, last))
    return [row for part in stored for row in row_documents(part, shape, first, last)]


def _shape(services: Services, job: Job, *, include_input: bool = False) -> ResultShape:
    manifest = services.manifests.find(job)
    if manifest is not None:
        features = tuple(feature.name for feature in manifest.features)
        classes = manifest.classes
    else:
        features, classes = _column_names(services, job), ()
    return ResultShape(job=job, classes=classes, features=features, include_input=include_input)


def _column_names(services: Services, job: Job) -> tuple[str, ...]:
    """Return the column names of `job`, whose manifest is missing: those of its CSV, or numbers."""
    if job.layout is not None:
        return tuple(job.layout.column_name(position) for position in job.layout.positions)
    width = services.database.read(lambda c: read_input_width(c, job.id))
    return tuple(f"column {number}" for number in range(1, width + 1))


def _readable_job(services: Services, job_id: str, query: PartialQuery) -> Job:
    job = get_job(services, job_id)
    if not job.finished and not query.partial:
        raise JobUnfinished(
            f"The job is {job.state}; poll {request.host_url}jobs/{job.id}, "
            "or ask for ?partial=true."
        )
    return job


def _kind(asked: str | None) -> str:
    """Return the media type by ?format= or else by Accept. Raise `NotAcceptable`."""
    if asked is not None:
        return _FORMATS[asked]
    kinds = list(_FORMATS.values())
    best = request.accept_mimetypes.best_match(kinds) if request.accept_mimetypes else kinds[0]
    if best is None:
        raise NotAcceptable(f"Results are available as {', '.join(kinds)}.")
    return best


def _stored(
    services: Services, job: Job, *, with_input: bool, only_errors: bool = False
) -> Iterator[StoredResult]:
    """Yield the results of `job` chunk by chunk, each read in a separate transaction."""
    after = -1
    # Without rows it is an incomplete upload whose stored chunks are being purged.
    while job.rows_total:
        read = partial(
            next_result, job=job.id, after=after, with_input=with_input, only_errors=only_errors
        )
        stored = services.database.read(read)
        if stored is None:
            return
        yield stored
        after = stored.seq


def _download(services: Services, pieces: Iterator[bytes], kind: str, name: str) -> Response:
    extension = "csv" if kind == "text/csv" else "ndjson"
    charset = "; charset=utf-8" if kind == "text/csv" else ""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{extension}"'}
    return services.downloads.send(pieces, headers, kind + charset)


def _page(services: Services, shape: ResultShape, query: ResultsQuery) -> Response:
    job = shape.job
    end = min(query.offset + query.limit, job.rows_total)
    stored = _stored_page(services, shape, query.offset, end)
    following = _next_link(services, job, query.limit, end)
    page = json_page(stored, shape, range(query.offset, end), following)
    return services.downloads.send(page, {}, "application/json")


def _next_link(services: Services, job: Job, limit: int, end: int) -> str | None:
    """Return the link to the next page with rows, or None when no row from `end` on has a result.

    Any chunk of a stopped or running job may lack a result.
    """
    following: int | None = end
    if job.rows_tried < job.rows_total:
        following = services.database.read(lambda c: next_row(c, job.id, end))
    if following is None or following >= job.rows_total:
        return None
    asked = request.args.to_dict() | {"limit": limit, "offset": following}
    return f"/jobs/{job.id}/results?{urlencode(asked)}"


def _stored_page(
    services: Services, shape: ResultShape, first: int, last: int
) -> Iterator[StoredResult]:
    """Yield the results that contain the rows `first` to `last` - 1, each read separately.

    A page may span many chunks, because a row of a CSV can be as long as the line limit.
    """
    while first < last:
        read = partial(
            first_result,
            job=shape.job.id,
            first=first,
            last=last,
            with_input=shape.include_input,
        )
        stored = services.database.read(read)
        if stored is None:
            return
        yield stored
        first = stored.first_row + stored.row_count
