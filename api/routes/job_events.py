"""Server-sent events of a job: the job at each change, then the end."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import orjson
from flask import Blueprint, Response, stream_with_context
from typing_extensions import TypedDict

from api.bootstrap import Services
from api.jobs.job_service import describe, get_job
from api.openapi.operation import FIND, Content, Operation, ResponseSpec
from shared.domain.errors import DryBeansError
from shared.domain.jobs import JobId

_QUIET: Final = 15.0
"""Seconds without an event after which a comment is sent: proxies close idle connections."""


class Event(TypedDict):
    """An event `job`, `end` or `error`; the data is JSON."""

    event: str
    data: str


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of GET /jobs/<id>/events."""
    routes = Blueprint("events", __name__)

    @routes.get("/jobs/<job_id>/events")
    @Operation(
        tag="jobs",
        responses={
            HTTPStatus.OK: ResponseSpec(
                detail="`job` events with the job at each change, then `end`.",
                content=(Content(kind="text/event-stream", shape=Event),),
            )
        },
        errors=FIND,
    )
    def events(job_id: str) -> Response:
        """Follow a job as server-sent events."""
        job = get_job(services, job_id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        # Reading the job checks its owner, which needs the request context.
        stream = stream_with_context(_events(services, job.id))
        kind = "text/event-stream; charset=utf-8"
        return services.event_streams.hold(Response(stream, headers=headers, content_type=kind))

    return routes


def _events(services: Services, job: JobId) -> Iterator[bytes]:
    try:
        finished = False
        while not finished:
            for changed in services.job_watcher.changes(job, _QUIET):
                if not changed:
                    yield b": keep-alive\n\n"
                    continue
                found = get_job(services, job)
                finished = found.finished
                yield _event("job", describe(services, found))
            if not finished:
                # The database did not confirm the notification of its end.
                services.job_watcher.forget_end(job)
        yield _event("end", {"id": job})
    except DryBeansError as error:
        # The response has started, so its status cannot report the error.
        yield _event("error", {"code": error.code, "detail": error.detail})


def _event(name: str, document: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (
        name.encode(),
        orjson.dumps(document, option=orjson.OPT_UTC_Z),
    )
