"""Traces: W3C's places, the spans of requests and batches, and a collector that is dead."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.background.instrumentation import trace_commits, trace_publications
from api.http.middleware import instrument_requests
from shared.domain.chunks import Dispatch, TraceContext
from shared.domain.errors import QueueDown
from shared.domain.jobs import ChunkRef, JobId, Queue
from shared.observability.metrics import ApiMetrics
from shared.observability.otlp import Telemetry, open_telemetry
from shared.observability.tracing import NoTraces, is_sampled, read_traceparent
from tests.factories import a_submission
from tests.fakes import FakeQueue
from worker.batch.instrumentation import BatchInstrumentation

ROOT = Path(__file__).parents[2]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
KEPT = f"00-{TRACE}-00f067aa0ba902b7-01"
LEFT = f"00-{TRACE}-00f067aa0ba902b7-00"


class Kept:
    """Traces that are kept here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = Telemetry(provider)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def only(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def kept() -> Kept:
    """Nothing yet."""
    return Kept()


def place(span: ReadableSpan) -> tuple[str, str]:
    """Return the ids of a span's trace and of itself."""
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent(span: ReadableSpan) -> str:
    """Return the id of the span above."""
    return f"{span.parent.span_id:016x}" if span.parent else ""


@pytest.mark.parametrize(
    "text, read",
    [
        (KEPT, KEPT),
        (LEFT, LEFT),
        (f"cc{KEPT[2:]}-what-will-be", KEPT),
        (f"{KEPT}-more", ""),
        (f"{KEPT} ", ""),
        (KEPT.upper(), ""),
        (f"ff{KEPT[2:]}", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE}-00f067aa0ba902b7", ""),
        ("", ""),
    ],
)
def test_a_place_in_a_trace_is_read_as_w3c_has_it(text: str, read: str) -> None:
    """Anything else is no place, and begins no trace by chance."""
    assert read_traceparent(text) == read


def test_whoever_keeps_no_traces_passes_the_clients_on() -> None:
    """So that log lines name its trace all the same."""
    span = NoTraces().begin("x", "server", KEPT)

    assert span.traceparent == KEPT
    assert TraceContext(traceparent=KEPT).trace_id == TRACE
    assert (is_sampled(KEPT), is_sampled(LEFT), is_sampled("")) == (True, False, False)


def test_nothing_is_imported_where_no_traces_are_kept() -> None:
    """Nothing of ours: redis-py takes what it finds of OpenTelemetry for metrics of its own."""
    code = (
        "import sys\n"
        "from api.bootstrap import build_services\n"
        "from shared.settings import Settings\n"
        "from shared.observability.tracing import prepare_traces\n"
        "build_services(Settings())\n"
        "prepare_traces(Settings())\n"
        "print(*sys.modules)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DRYBEANS_")}
    command = [sys.executable, "-c", code]

    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = set(done.stdout.split())
    assert "shared.observability.tracing" in loaded
    assert not loaded & {
        "shared.observability.otlp",
        "opentelemetry.sdk.trace",
        "requests",
        "google",
    }


def an_app(kept: Kept) -> Flask:
    """Make an application whose requests are watched."""
    app = Flask("watched")
    app.add_url_rule("/jobs/<job_id>", "job", lambda job_id: {"id": job_id})
    app.add_url_rule("/healthz", "healthz", dict)
    app.add_url_rule("/broken", "broken", lambda: ({}, 503))
    instrument_requests(app, ApiMetrics(), kept.traces)
    return app


def test_a_request_goes_on_with_the_clients_trace(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """By the names of OpenTelemetry's conventions; the log names the same trace."""
    caplog.set_level(logging.INFO)
    headers = {"traceparent": KEPT, "X-Request-ID": "mine"}

    an_app(kept).test_client().get("/jobs/ab?key=secret", headers=headers).close()

    span = kept.only("GET /jobs/<job_id>")
    assert (place(span)[0], parent(span)) == (TRACE, "00f067aa0ba902b7")
    assert span.kind.name == "SERVER"
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/jobs/<job_id>",
        "http.response.status_code": 200,
        "drybeans.request": "mine",
    }
    (line,) = (vars(record) for record in caplog.records if record.message == "request")
    assert (line["trace_id"], line["request_id"]) == (TRACE, "mine")


def test_a_failed_request_is_a_failed_span(kept: Kept) -> None:
    """From 500 on: what a client did wrong is no error of the server."""
    client = an_app(kept).test_client()
    client.get("/broken").close()
    client.get("/nowhere").close()

    assert kept.only("GET /broken").status.status_code.name == "ERROR"
    assert kept.only("GET none").status.status_code.name == "UNSET"


def test_what_the_client_does_not_keep_is_not_kept(kept: Kept) -> None:
    """Nor is what probes ask every few seconds."""
    client = an_app(kept).test_client()
    client.get("/jobs/ab", headers={"traceparent": LEFT}).close()
    client.get("/healthz", headers={"traceparent": KEPT}).close()

    assert kept.named("GET /jobs/<job_id>") == kept.named("GET /healthz") == []


def test_commit_and_publish_are_below_the_request(kept: Kept) -> None:
    """One of each, however many chunks go out."""
    job, trail = a_submission(), TraceContext(traceparent=KEPT)
    chunks = [
        Dispatch(ref=ChunkRef(job=job.id, seq=seq), queue=Queue.BULK, row_count=1, trace=trail)
        for seq in range(3)
    ]

    trace_commits(lambda _: None, kept.traces)(replace(job, trace=trail))
    trace_publications(FakeQueue().publish, kept.traces)(chunks)

    for name, kind in (("commit", "INTERNAL"), ("publish", "PRODUCER")):
        span = kept.only(name)
        assert (place(span)[0], parent(span), span.kind.name) == (TRACE, KEPT[36:52], kind)
    assert (kept.only("publish").attributes or {})["messaging.destination.name"] == "bulk"


def test_a_redis_that_is_down_shows_in_the_trace(kept: Kept) -> None:
    """And is told to whoever publishes, as without traces."""
    queue = FakeQueue()
    queue.down = True
    trail = TraceContext(traceparent=KEPT)
    chunk = Dispatch(
        ref=ChunkRef(job=JobId("j"), seq=0), queue=Queue.BULK, row_count=1, trace=trail
    )

    with pytest.raises(QueueDown):
        trace_publications(queue.publish, kept.traces)([chunk])

    assert (kept.only("publish").attributes or {})["error.type"] == "queue_down"


def run(kept: Kept, *traceparents: str) -> None:
    """Run a batch of one job for each place in a trace."""
    trails = {
        JobId(f"job-{number}"): TraceContext(traceparent=text)
        for number, text in enumerate(traceparents)
    }
    with BatchInstrumentation(traces=kept.traces).batch(trails) as seen, seen.step("claim"):
        pass


def test_a_batch_of_one_job_is_in_the_trace_of_its_request(kept: Kept) -> None:
    """With its steps below it."""
    run(kept, KEPT)

    batch, step = kept.only("run"), kept.only("claim")
    assert (place(batch)[0], parent(batch), batch.kind.name) == (TRACE, KEPT[36:52], "CONSUMER")
    assert (place(step)[0], parent(step)) == place(batch)
    assert (batch.attributes or {})["drybeans.job"] == "job-0"


def test_a_batch_of_many_jobs_shows_in_the_trace_of_each(kept: Kept) -> None:
    """One has the steps; the others link to it, and it to no more than 128 of them."""
    places = [f"00-{number:032x}-00f067aa0ba902b7-01" for number in range(1, 501)]

    run(kept, LEFT, *places)

    runs = kept.named("run")
    (batch,) = (span for span in runs if place(span)[1] == parent(kept.only("claim")))
    assert sorted(place(span)[0] for span in runs) == [text[3:35] for text in places]
    assert len(batch.links) == 128
    for other in runs:
        if other is not batch:
            (link,) = other.links
            assert link.context.span_id == batch.context.span_id


def test_a_batch_of_jobs_that_nobody_keeps_is_not_kept(kept: Kept) -> None:
    """What the sampler decided at the request holds in the worker."""
    run(kept, LEFT, LEFT[:-4] + "c-00")

    assert kept.named("run") == kept.named("claim") == []


def test_a_batch_that_breaks_ends_its_spans(kept: Kept) -> None:
    """With the name of what broke it."""
    with (
        pytest.raises(ZeroDivisionError),
        BatchInstrumentation(traces=kept.traces).batch(
            {JobId("j"): TraceContext(traceparent=KEPT)}
        ) as seen,
        seen.step("predict"),
    ):
        raise ZeroDivisionError

    for name in ("predict", "run"):
        assert (kept.only(name).attributes or {})["error.type"] == "ZeroDivisionError"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        yield


@pytest.mark.usefixtures("silent")
def test_a_collector_that_does_not_answer_delays_nothing() -> None:
    """More spans than may wait are made at once, and the end is not waited for."""
    traces = open_telemetry("test")
    traces.begin("first", "internal", "").end()
    time.sleep(0.1)
    for _ in range(3000):
        traces.begin("x", "internal", "").end()
    # Neither would return: the collector has an hour to answer.
    traces.close()
