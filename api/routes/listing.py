"""The list of jobs, and what may be asked of the service."""

import base64
import binascii
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from api.options import LABEL_PREFIX
from api.query import whole_number
from api.responses import json_response
from api.routes.finding import describe_all, owner, read_id
from api.services import Services
from shared.db.listing import JobFilter, list_jobs
from shared.domain.errors import JobNotFound, RequestInvalid
from shared.domain.jobs import JobId, JobState

_PAGE: Final = 50
_MOST: Final = 200
_FIRST_YEAR: Final = 1971
_PARAMETERS: Final = frozenset({"state", "model", "created_after", "page_size", "page_token"})


def blueprint(services: Services) -> Blueprint:
    """Make GET /jobs and GET /limits."""
    routes = Blueprint("listing", __name__)

    @routes.get("/jobs")
    def jobs() -> Response:
        size = whole_number("page_size", default=_PAGE, least=1, most=_MOST)
        wanted = _read_filter()
        found = services.database.read(lambda c: list_jobs(c, wanted, size + 1))
        token = _token(found[size - 1].id) if len(found) > size else None
        document = {
            "jobs": describe_all(services, found[:size]),
            "next_page_token": token,
            "next": _next_link(token),
        }
        return json_response(document)

    @routes.get("/limits")
    def limits() -> Response:
        return json_response(_limits(services))

    return routes


def _read_filter() -> JobFilter:
    arguments = request.args
    unknown = [
        name for name in arguments if name not in _PARAMETERS and not name.startswith(LABEL_PREFIX)
    ]
    if unknown:
        known = ", ".join(sorted(_PARAMETERS))
        raise RequestInvalid(f"{unknown[0][:80]!r} is no filter; known are {known}, label.<name>.")
    name, _, version = arguments.get("model", "").partition("@")
    if version and not (version.isascii() and version.isdigit()):
        raise RequestInvalid('model must be a name, or a name and a version such as "drybeans@2".')
    return JobFilter(
        owner=owner(),
        state=_read_state(arguments.get("state")),
        model=name or None,
        version=int(version[:9]) if version else None,
        labels={
            name.removeprefix(LABEL_PREFIX): value
            for name, value in arguments.items()
            if name.startswith(LABEL_PREFIX)
        },
        before=_read_token(arguments.get("page_token")),
        after=_read_created_after(arguments.get("created_after")),
    )


def _read_state(text: str | None) -> JobState | None:
    if text is None:
        return None
    try:
        return JobState(text)
    except ValueError:
        raise RequestInvalid(f"state must be one of {', '.join(JobState)}.") from None


def _read_created_after(text: str | None) -> JobId | None:
    """Turn an instant into the smallest id that a job made at it can have (RFC 9562, UUIDv7)."""
    if text is None:
        return None
    try:
        # A plus in a query is a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year < _FIRST_YEAR:
        raise RequestInvalid(
            "created_after must be a time with a zone, such as 2026-01-31T12:00:00Z."
        )
    first = f"{int(moment.timestamp() * 1000):012x}"
    return JobId(f"{first[:8]}-{first[8:]}-7000-8000-000000000000")


def _token(job: JobId) -> str:
    return base64.urlsafe_b64encode(job.encode()).decode().rstrip("=")


def _read_token(text: str | None) -> JobId | None:
    if text is None:
        return None
    try:
        return read_id(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    except (binascii.Error, ValueError, JobNotFound):
        raise RequestInvalid("page_token is none that a page gave; leave it out.") from None


def _next_link(token: str | None) -> str | None:
    if token is None:
        return None
    arguments = request.args.to_dict() | {"page_token": token}
    return f"/jobs?{urlencode(arguments)}"


def _limits(services: Services) -> dict[str, Any]:
    settings = services.settings
    return {
        "json": {"bytes": settings.max_body_bytes, "rows": settings.max_instances},
        "csv": {"bytes": settings.max_upload_bytes, "line_bytes": settings.max_line_bytes},
        "results": {"page_rows": 10_000, "inline_rows": 1_000},
        "wait_seconds": 30,
        "retention_seconds": round(settings.retention_seconds),
        "deadline_seconds": round(settings.deadline_seconds),
        "queued_rows": {"high": settings.high_water_rows, "low": settings.low_water_rows},
    }
