"""A collector of traces: a real HTTP server that reads what OpenTelemetry's exporter sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.receiver import Receiver, receiving


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A span as it was sent."""

    part: str
    name: str
    trace: str
    span: str
    parent: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Collector:
    """Knows every span that it was sent."""

    receiver: Receiver

    @property
    def address(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be."""
        return f"http://127.0.0.1:{self.receiver.port}"

    def spans(self, trace: str) -> list[Told]:
        """Return the spans of `trace` that have arrived."""
        return [
            told
            for request in list(self.receiver.got)
            if request.path == "/v1/traces"
            for told in _read(ExportTraceServiceRequest.FromString(request.body))
            if told.trace == trace
        ]


def _read(request: ExportTraceServiceRequest) -> Iterator[Told]:
    for group in request.resource_spans:
        (part,) = (
            a.value.string_value for a in group.resource.attributes if a.key == "service.name"
        )
        for span in (span for scope in group.scope_spans for span in scope.spans):
            yield Told(
                part=part,
                name=span.name,
                trace=span.trace_id.hex(),
                span=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                facts={
                    a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes
                },
            )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    with receiving() as receiver:
        receiver.statuses = [200]
        yield Collector(receiver)
