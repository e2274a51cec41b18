"""Sees every batch that a worker runs: counts it, and says in the log what became of it."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from shared.db.jobs.complete import Completion
from shared.domain.chunks import NO_TRACE, ChunkResult, ClaimedChunk
from shared.domain.jobs import JobId
from shared.models.manifest import Feature
from shared.models.summaries import drift, merge_summaries
from shared.observability.metrics import WorkerMetrics
from shared.observability.tracing import NoTraces, Traces, below, ending
from worker.batch.trace_context import BatchSpans, TraceContexts

log = logging.getLogger(__name__)

Step = Literal["read", "claim", "predict", "finish"]

# A line that names more chunks would be cut apart by what collects logs.
_NAMED: Final = 50
_MOST_ATTEMPTS: Final = 10


class BatchObservation:
    """One batch, as far as it has come."""

    def __init__(
        self,
        trails: TraceContexts,
        metrics: WorkerMetrics,
        features_of: Callable[[str], Sequence[Feature]],
        traces: Traces,
    ) -> None:
        """Take the `trails` of the message, where to count, and where spans go."""
        self._traces = traces
        self._spans = BatchSpans(traces, trails)
        self._features = features_of
        self._trails = trails
        self._metrics = metrics
        self._begun = time.monotonic()
        self._taken: Sequence[ClaimedChunk] = ()

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Watch one step."""
        parent = self._spans.run.traceparent
        with self._metrics.step_seconds.labels(name).time(), below(self._traces, parent, name):
            yield

    def end(self, failure: str) -> None:
        """End its spans, with what went wrong if something did."""
        rows = sum(chunk.row_count for chunk in self._taken)
        self._spans.end({"drybeans.chunks": len(self._taken), "drybeans.rows": rows}, failure)

    def taken(self, chunks: Sequence[ClaimedChunk]) -> None:
        """Take note of what was claimed, or is finished without a claim."""
        self._taken = chunks
        for attempt, number in Counter(chunk.attempt for chunk in chunks).items():
            self._metrics.claims.labels(str(min(attempt, _MOST_ATTEMPTS))).inc(number)

    def finished(self, outcomes: Sequence[ChunkResult], finished: Completion | None) -> None:
        """Take note of what was written of `outcomes`, if there were any."""
        if finished:
            self._count(outcomes, finished)
        for ref in finished.lost if finished else ():
            fields = {"job": ref.job, "chunk": ref.seq}
            log.warning("claim_lost", extra=fields | self._origin(ref.job))
        log.info(
            "batch_finished",
            extra={
                "chunks": len(self._taken),
                "rows": sum(chunk.row_count for chunk in self._taken),
                "jobs": len(finished.jobs) if finished else 0,
                "seconds": round(time.monotonic() - self._begun, 4),
            },
        )
        for at in range(0, len(self._taken), _NAMED):
            self._name(self._taken[at : at + _NAMED])

    def _count(self, outcomes: Sequence[ChunkResult], finished: Completion) -> None:
        metrics = self._metrics
        lost = set(finished.lost)
        written = [outcome for outcome in outcomes if outcome.ref not in lost]
        rows: Counter[tuple[str, str]] = Counter()
        for outcome in written:
            rows[outcome.model_version, "failed"] += outcome.failed_rows
            rows[outcome.model_version, "succeeded"] += outcome.row_count - outcome.failed_rows
        for labels, number in rows.items():
            metrics.rows.labels(*labels).inc(number)
        given_up = sum(outcome.failure is not None for outcome in written)
        chunks = {"done": len(written) - given_up, "failed": given_up, "lost": len(lost)}
        for outcome_, number in chunks.items():
            metrics.chunks.labels(outcome_).inc(number)
        for state, number in Counter(finished.jobs.values()).items():
            metrics.jobs.labels(state.value).inc(number)
        self._count_drift(written)

    def _count_drift(self, written: Sequence[ChunkResult]) -> None:
        by_model: dict[str, list[Mapping[str, object]]] = {}
        for outcome in written:
            if outcome.summary and "histograms" in outcome.summary:
                by_model.setdefault(outcome.model_version, []).append(outcome.summary)
        for model, summaries in by_model.items():
            found = drift(merge_summaries(summaries), self._features(model))
            for feature, index in found.items():
                self._metrics.drift.labels(model, feature).set(index)

    def _name(self, chunks: Sequence[ClaimedChunk]) -> None:
        """Return which chunks were run and for which requests: a search for either finds them."""
        refs = [chunk.ref for chunk in chunks]
        requests = {self._trails.get(ref.job, NO_TRACE).request_id for ref in refs} - {""}
        traces = {self._trails.get(ref.job, NO_TRACE).trace_id for ref in refs} - {""}
        shown = [f"{ref.job}/{ref.seq}" for ref in refs]
        told = {"chunks": shown, "requests": sorted(requests)}
        log.info("chunks_run", extra=told | ({"traces": sorted(traces)} if traces else {}))

    def _origin(self, job: JobId) -> dict[str, object]:
        trail = self._trails.get(job, NO_TRACE)
        named = {"request_id": trail.request_id, "trace_id": trail.trace_id}
        return {name: value for name, value in named.items() if value}


def _no_features(_model: str) -> Sequence[Feature]:
    return ()


class BatchInstrumentation:
    """Watches the batches of one process."""

    def __init__(
        self,
        metrics: WorkerMetrics | None = None,
        features_of: Callable[[str], Sequence[Feature]] = _no_features,
        traces: Traces | None = None,
    ) -> None:
        """Count in `metrics`; `features_of` a model version are those that drift is told of."""
        self.metrics = metrics or WorkerMetrics()
        self.traces = traces or NoTraces()
        self._features_of = features_of

    @contextmanager
    def batch(self, trails: TraceContexts) -> Iterator[BatchObservation]:
        """Watch one batch, whose jobs came by `trails`."""
        seen = BatchObservation(trails, self.metrics, self._features_of, self.traces)
        with ending(seen.end):
            yield seen

    def queue_down(self) -> None:
        """Take note that Redis did not take the messages of chunks that were released."""
        self.metrics.publish_failures.inc()
