"""Request middleware: request ids, metrics, trace spans and the access log."""

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
# Requested every few seconds: logged at DEBUG and not traced.
_PROBES: Final = frozenset(
    {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Attributes of a span, named as in OpenTelemetry, and the fields of the log that hold their values.
_SPAN_ATTRIBUTES: Final = {
    "http.request.method": "method",
    "http.route": "route",
    "http.response.status_code": "status",
    "drybeans.request": "request_id",
    "drybeans.job": "job",
}


def instrument_requests(app: Flask, metrics: ApiMetrics, traces: Traces) -> None:
    """Instrument the requests of `app`; call it before other request hooks are registered."""
    app.before_request(lambda: _begin(metrics, traces))
    app.after_request(lambda response: _end(response, metrics))
    app.teardown_request(lambda _: bind())


def _begin(metrics: ApiMetrics, traces: Traces) -> None:
    metrics.in_progress.inc()
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
    g.span = _begin_span(NoTraces() if _route() in _PROBES else traces)
    g.trace = TraceContext(request_id=request_id, traceparent=g.span.traceparent)
    bind(**_ids(g.trace))


def _begin_span(traces: Traces) -> Span:
    """Start a server span, in the client's trace if the request names one."""
    parent = read_traceparent(request.headers.get("traceparent", ""))
    return traces.begin(f"{_method()} {_route()}", "server", parent)


def _method() -> str:
    return request.method if request.method in _METHODS else "other"


def _route() -> str:
    return request.url_rule.rule if request.url_rule else "none"


def _ids(trace: TraceContext) -> dict[str, str]:
    traced = {"trace_id": trace.trace_id} if trace.traceparent else {}
    return {"request_id": trace.request_id} | traced


def _named_job() -> str:
    # Paths are arbitrary text; log only what looks like a job id.
    named = (request.view_args or {}).get("job_id", "")
    return named if _JOB_ID.fullmatch(named) else ""


def _end(response: Response, metrics: ApiMetrics) -> Response:
    trace: TraceContext = g.trace
    response.headers["X-Request-ID"] = trace.request_id
    started: float = g.started
    route, method, status = _route(), _method(), response.status_code
    fields: dict[str, str | int] = {"method": method, "route": route, "status": status}
    fields |= _ids(trace)
    if owner := getattr(g.get("caller"), "owner", ""):
        fields["owner"] = owner
    if job := g.get("job") or _named_job():
        fields["job"] = job
    level = logging.DEBUG if route in _PROBES else logging.INFO
    span: Span = g.span
    span.note({name: fields[key] for name, key in _SPAN_ATTRIBUTES.items() if key in fields})

    def closed() -> None:
        # On close, because a stream ends long after its first byte was sent.
        seconds = round(time.perf_counter() - started, 6)
        log.log(level, "request", extra=fields | {"seconds": seconds})
        metrics.in_progress.dec()
        metrics.requests.labels(method, route, str(status)).inc()
        metrics.request_seconds.labels(method, route).observe(seconds)
        span.end(str(status) if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "")

    response.call_on_close(closed)
    return response
