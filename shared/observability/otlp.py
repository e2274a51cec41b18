"""Traces by OpenTelemetry: imported only where they are asked for (`open_traces`).

The library reads the standard `OTEL_…` variables itself: where spans are sent, which traces are
kept, how many spans may wait.
"""

import os
import socket
import threading
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as TheirSpan

from shared.observability.tracing import Facts, Kind, Span

_CLOSING_SECONDS: Final = 1.0
_KINDS: Final[dict[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class KeptSpan:
    """A span of OpenTelemetry."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: TheirSpan) -> None:
        """Take `span`, which has begun."""
        self._span = span
        context = span.get_span_context()
        self.traceparent = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        )

    def note(self, facts: Facts) -> None:
        """Add `facts` to its attributes."""
        self._span.set_attributes(dict(facts))

    def link(self, traceparent: str) -> None:
        """Add a link."""
        self._span.add_link(_context(traceparent))

    def end(self, failure: str = "") -> None:
        """End it."""
        if failure:
            self._span.set_status(Status(StatusCode.ERROR))
            self._span.set_attribute("error.type", failure)
        self._span.end()


class Telemetry:
    """Keeps traces, and sends them from a thread: what does not get away in time is dropped."""

    def __init__(self, provider: TracerProvider) -> None:
        """Make spans by `provider`."""
        self._provider = provider
        self._tracer = provider.get_tracer("drybeans")

    def begin(self, name: str, kind: Kind, parent: str, since: int | None = None) -> Span:
        """Begin a span; without a parent the sampler decides whether its trace is kept."""
        place = Context()
        if parent:
            place = set_span_in_context(NonRecordingSpan(_context(parent)), place)
        return KeptSpan(self._tracer.start_span(name, place, kind=_KINDS[kind], start_time=since))

    def close(self) -> None:
        """Send what waits; a collector that does not answer gets a second and no more."""
        # The library would wait for half a minute.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


def _context(traceparent: str) -> SpanContext:
    trace, span, flags = (int(part, 16) for part in traceparent.split("-")[1:])
    return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))


def open_telemetry(part: str) -> Telemetry:
    """Send spans by OTLP over HTTP as `OTEL_…` say, by default to a collector on this machine."""
    instance = f"{os.getpid()}@{socket.gethostname()}"
    named = {"service.name": part, "service.instance.id": instance}
    # What the environment says of this service comes after ours, and wins.
    resource = Resource.create(named).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Telemetry(provider)
