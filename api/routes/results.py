"""A job's results and errors, in the form the client asks for."""

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
    """Whether an unfinished job will do."""

    partial: bool = Field(default=False, description="Tell what is there of an unfinished job.")


class ResultsQuery(PartialQuery):
    """Which results to read, and in which form."""

    format: Literal["json", "ndjson", "csv"] | None = Field(
        default=None, description="The form of the results; without it, Accept decides."
    )
    include: Literal["input"] | None = Field(
        default=None, description="Tell the features of each row too."
    )
    limit: Annotated[int, Field(ge=1, le=_MAX_PAGE_ROWS), DIGITS] = Field(
        default=1000, description="How many rows a JSON page holds at most."
    )
    offset: Annotated[int, Field(ge=0, le=2**53), DIGITS] = Field(
        default=0, description="The row that a JSON page begins with."
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
            detail="The failed rows, each with the reason and its own columns.",
            content=(Content(kind=CSV),),
            headers=("Content-Disposition",),
        )
    },
    errors=(*FIND, RequestInvalid, JobUnfinished),
    query=PartialQuery,
)


def blueprint(services: Services) -> Blueprint:
    """Make GET /jobs/<id>/results and GET /jobs/<id>/errors."""
    routes = Blueprint("results", __name__)

    @routes.get("/jobs/<job_id>/results")
    @_RESULTS
    def results(job_id: str) -> Response:
        """Read a label or an error for each row of a job, in its order."""
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
        """Read the failed rows as a CSV to mend and send again."""
        job = _readable_job(services, job_id, read_query(PartialQuery))
        stored = _stored(services, job, with_input=True, only_errors=True)
        table = errors_table(stored, _shape(services, job))
        return _download(services, table, "text/csv", f"{job.id}-errors")

    return routes


def read_rows(services: Services, whole: JobWithResults) -> list[ResultRow]:
    """Read all rows of a job that was waited for; rows without a result are left out."""
    job, stored = whole.job, whole.results
    if not job.rows_total:
        return []
    shape = _shape(services, job)
    if stored is None and job.rows_total <= MAX_INLINE_ROWS:
        # All of a small job: read together with those that others ask for at the same time.
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
    """Return names for the inputs of `job` where no manifest does: the CSV's own, or numbers."""
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
    """Choose the media type by ?format= or else by Accept. Raises `NotAcceptable`."""
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
    """Return the results of `job` chunk by chunk, each read in a transaction of its own."""
    after = -1
    # Without rows it is an upload that did not complete, and what it had stored is being purged.
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

    Chunks of a job that was stopped, or still runs, may be missing anywhere.
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
    """Yield the results that hold the rows `first` to `last` - 1, each read by itself.

    The chunks of such a page may be many: a row of a CSV can be as long as a line may be.
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
