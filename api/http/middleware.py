"""Sees every request: gives it an id, counts it, and writes its line in the log."""

import logging
import re
import time
from http import HTTPStatus
from typing import Final

import uuid_utils
from flask import Flask, Response, g, request

from shared.domain.chunks import TraceContext
from shared.observability.logs import bind
from shared.observability.metrics import ApiMetrics
from shared.observability.tracing import NoTraces, Span, Traces, read_traceparent

log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_JOB_ID: Final = re.compile(r"[0-9A-Fa-f-]{32,36}")
# Asked every few seconds by probes: these would fill the log, and traces.
_PROBES: Final = frozenset(
    {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# What a span tells of the log's line, by the names that OpenTelemetry has for it.
_SPAN_ATTRIBUTES: Final = {
    "http.request.method": "method",
    "http.route": "route",
    "http.response.status_code": "status",
    "drybeans.request": "request_id",
    "drybeans.job": "job",
}


def instrument_requests(app: Flask, metrics: ApiMetrics, traces: Traces) -> None:
    """Watch the requests of `app`: to be called before anything else looks at them."""
    app.before_request(lambda: _begin(metrics, traces))
    app.after_request(lambda response: _end(response, metrics))
    app.teardown_request(lambda _: bind())


def _begin(metrics: ApiMetrics, traces: Traces) -> None:
    metrics.in_progress.inc()
    g.began = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
    g.span = _begin_span(NoTraces() if _route() in _PROBES else traces)
    g.trail = TraceContext(request_id=request_id, traceparent=g.span.traceparent)
    bind(**_ids(g.trail))


def _begin_span(traces: Traces) -> Span:
    """Go on with the trace that the client is in, if it is."""
    parent = read_traceparent(request.headers.get("traceparent", ""))
    return traces.begin(f"{_method()} {_route()}", "server", parent)


def _method() -> str:
    return request.method if request.method in _METHODS else "other"


def _route() -> str:
    return request.url_rule.rule if request.url_rule else "none"


def _ids(trail: TraceContext) -> dict[str, str]:
    traced = {"trace_id": trail.trace_id} if trail.traceparent else {}
    return {"request_id": trail.request_id} | traced


def _named_job() -> str:
    # What a client writes in a path may be anything; a log line is no place for that.
    named = (request.view_args or {}).get("job_id", "")
    return named if _JOB_ID.fullmatch(named) else ""


def _end(response: Response, metrics: ApiMetrics) -> Response:
    trail: TraceContext = g.trail
    response.headers["X-Request-ID"] = trail.request_id
    began: float = g.began
    route, method, status = _route(), _method(), response.status_code
    fields: dict[str, str | int] = {"method": method, "route": route, "status": status}
    fields |= _ids(trail)
    if owner := getattr(g.get("caller"), "owner", ""):
        fields["owner"] = owner
    if job := g.get("job") or _named_job():
        fields["job"] = job
    level = logging.DEBUG if route in _PROBES else logging.INFO
    span: Span = g.span
    span.note({name: fields[ours] for name, ours in _SPAN_ATTRIBUTES.items() if ours in fields})

    def closed() -> None:
        # A stream ends long after its first byte was sent.
        seconds = round(time.perf_counter() - began, 6)
        log.log(level, "request", extra=fields | {"seconds": seconds})
        metrics.in_progress.dec()
        metrics.requests.labels(method, route, str(status)).inc()
        metrics.request_seconds.labels(method, route).observe(seconds)
        span.end(str(status) if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "")

    response.call_on_close(closed)
    return response
