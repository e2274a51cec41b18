"""Sees every request: gives it an id, counts it, and writes its line in the log."""

import logging
import re
import time
from typing import Final

import uuid_utils
from flask import Flask, Response, g, request

from shared.domain.chunks import Trail
from shared.logs import bind
from shared.metrics import ApiMetrics

log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_JOB_ID: Final = re.compile(r"[0-9A-Fa-f-]{32,36}")
# Asked every few seconds by probes: these would fill the log.
_PROBES: Final = frozenset(
    {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def watch_requests(app: Flask, metrics: ApiMetrics) -> None:
    """Watch the requests of `app`: to be called before anything else looks at them."""
    app.before_request(lambda: _begin(metrics))
    app.after_request(lambda response: _end(response, metrics))
    app.teardown_request(lambda _: bind())


def _begin(metrics: ApiMetrics) -> None:
    metrics.in_progress.inc()
    g.began = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
    g.trail = Trail(request_id=request_id)
    bind(request_id=request_id)


def _named_job() -> str:
    # What a client writes in a path may be anything; a log line is no place for that.
    named = (request.view_args or {}).get("job_id", "")
    return named if _JOB_ID.fullmatch(named) else ""


def _end(response: Response, metrics: ApiMetrics) -> Response:
    trail: Trail = g.trail
    response.headers["X-Request-ID"] = trail.request_id
    began: float = g.began
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in _METHODS else "other"
    status = response.status_code
    fields: dict[str, object] = {
        "method": method,
        "route": route,
        "status": status,
        "request_id": trail.request_id,
    }
    if owner := getattr(g.get("caller"), "owner", ""):
        fields["owner"] = owner
    if job := g.get("job") or _named_job():
        fields["job"] = job
    level = logging.DEBUG if route in _PROBES else logging.INFO

    def closed() -> None:
        # A stream ends long after its first byte was sent.
        seconds = round(time.perf_counter() - began, 6)
        log.log(level, "request", extra=fields | {"seconds": seconds})
        metrics.in_progress.dec()
        metrics.requests.labels(method, route, str(status)).inc()
        metrics.request_seconds.labels(method, route).observe(seconds)

    response.call_on_close(closed)
    return response
