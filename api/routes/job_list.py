"""The list of jobs and the limits of the service."""

import base64
import binascii
from datetime import MAXYEAR, datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from pydantic import Field, PlainValidator, StringConstraints, WithJsonSchema
from typing_extensions import TypedDict

from api.bootstrap import Services
from api.http.query_params import DIGITS, Query, read_query
from api.http.responses import json_response
from api.jobs.job_service import describe_all, owner, parse_job_id
from api.openapi.operation import Operation, ok
from api.schemas.job import JobsPage
from api.schemas.validation import validation_error
from shared.db.queries.listing import JobFilter, list_jobs
from shared.domain.errors import DatabaseDown, JobNotFound, RequestInvalid
from shared.domain.jobs import JobId, JobState, first_id_at

_MAX_PAGE_SIZE: Final = 200
_FIRST_YEAR: Final = 1971


def _read_moment(text: object) -> object:
    """Convert a time into the smallest id of a job that is created at that time."""
    try:
        # A plus in a query is a space.
        moment = datetime.fromisoformat(str(text).replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not _FIRST_YEAR <= moment.year < MAXYEAR:
        raise validation_error(
            "datetime",
            "created_after must be a time with a time zone, such as 2026-01-31T12:00:00Z.",
        )
    return first_id_at(moment)


def _read_token(text: object) -> object:
    try:
        token = str(text)
        return parse_job_id(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    except (binascii.Error, ValueError, JobNotFound):
        raise validation_error(
            "page_token", "page_token is invalid; use the next_page_token of a page."
        ) from None


class ListQuery(Query):
    """The filters and the page of a list of jobs."""

    state: JobState | None = Field(default=None, description="Only jobs in this state.")
    model: Annotated[str, StringConstraints(pattern=r"^[^@]*(?:@[0-9]{1,9})?$")] | None = Field(
        default=None,
        description="Only jobs of this model or model version.",
        examples=["drybeans", "drybeans@2"],
    )
    labels: dict[str, str] = Field(
        default={}, description="Only jobs with these labels: `label.batch=7`."
    )
    created_after: (
        Annotated[
            JobId,
            PlainValidator(_read_moment),
            WithJsonSchema({"type": "string", "format": "date-time"}),
        ]
        | None
    ) = Field(default=None, description="Only jobs created at this time or later.")
    page_size: Annotated[int, Field(ge=1, le=_MAX_PAGE_SIZE), DIGITS] = Field(
        default=50, description="The maximum number of jobs on a page."
    )
    page_token: (
        Annotated[JobId, PlainValidator(_read_token), WithJsonSchema({"type": "string"})] | None
    ) = Field(default=None, description="The `next_page_token` of the previous page.")

    def filter(self, owner: str) -> JobFilter:
        """Return the filter for the jobs of `owner`."""
        name, _, version = (self.model or "").partition("@")
        return JobFilter(
            owner=owner,
            state=self.state,
            model=name or None,
            version=int(version) if version else None,
            labels=self.labels,
            before=self.page_token,
            after=self.created_after,
        )


class JsonLimits(TypedDict):
    """The maximum size of a JSON job."""

    bytes: int
    rows: int


class CsvLimits(TypedDict):
    """The maximum decompressed size and compression ratio of a CSV."""

    bytes: int
    line_bytes: int
    rows: int
    compression_ratio: int


class ResultLimits(TypedDict):
    """The maximum number of rows of a page of results and of results inside a job."""

    page_rows: int
    inline_rows: int


class WaterMarks(TypedDict):
    """The numbers of queued rows at which new jobs are refused and accepted again."""

    high: int
    low: int


class Limits(TypedDict):
    """The limits of the service."""

    json: JsonLimits
    csv: CsvLimits
    results: ResultLimits
    wait_seconds: int
    retention_seconds: int
    deadline_seconds: int
    queued_rows: WaterMarks


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of GET /jobs and GET /limits."""
    routes = Blueprint("listing", __name__)

    @routes.get("/jobs")
    @Operation(
        tag="jobs",
        responses=ok(JobsPage),
        errors=(RequestInvalid, DatabaseDown),
        query=ListQuery,
    )
    def jobs() -> Response:
        """List jobs, newest first."""
        query = read_query(ListQuery)
        size, job_filter = query.page_size, query.filter(owner())
        found = services.database.read(lambda c: list_jobs(c, job_filter, size + 1))
        token = _token(found[size - 1].id) if len(found) > size else None
        document: JobsPage = {
            "jobs": describe_all(services, found[:size]),
            "next_page_token": token,
            "next": _next_link(token),
        }
        return json_response(document)

    @routes.get("/limits")
    @Operation(tag="service", responses=ok(Limits))
    def limits() -> Response:
        """Return the limits of the service."""
        return json_response(_limits(services))

    return routes


def _token(job: JobId) -> str:
    return base64.urlsafe_b64encode(job.encode()).decode().rstrip("=")


def _next_link(token: str | None) -> str | None:
    if token is None:
        return None
    arguments = request.args.to_dict() | {"page_token": token}
    return f"/jobs?{urlencode(arguments)}"


def _limits(services: Services) -> Limits:
    settings = services.settings
    return {
        "json": {"bytes": settings.max_body_bytes, "rows": settings.max_instances},
        "csv": {
            "bytes": settings.max_upload_bytes,
            "line_bytes": settings.max_line_bytes,
            "rows": settings.max_job_rows,
            "compression_ratio": settings.max_compression_ratio,
        },
        "results": {"page_rows": 10_000, "inline_rows": 1_000},
        "wait_seconds": 30,
        "retention_seconds": round(settings.retention_seconds),
        "deadline_seconds": round(settings.deadline_seconds),
        "queued_rows": {"high": settings.high_water_rows, "low": settings.low_water_rows},
    }
