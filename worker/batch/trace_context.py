"""The spans of a batch, which runs chunks of many requests at once."""

from collections.abc import Mapping
from typing import Final

from shared.domain.chunks import TraceContext
from shared.domain.jobs import JobId
from shared.observability.tracing import Facts, Span, Traces, is_sampled

TraceContexts = Mapping[JobId, TraceContext]

# As many as OpenTelemetry keeps of one span.
_MOST_LINKS: Final = 128


class BatchSpans:
    """A span `run` in the trace of each request that is kept.

    The first one has the steps below it; the others, which are the same stretch of time, link to
    it, and it links to them. A trace of the batch's own would be kept or not by chance.
    """

    def __init__(self, traces: Traces, trails: TraceContexts) -> None:
        """Begin, for the jobs whose `trails` came with the message."""
        jobs = {trail.traceparent: job for job, trail in trails.items() if trail.traceparent}
        kept = [parent for parent in jobs if is_sampled(parent)]
        first = next(iter(kept or jobs), "")
        self.run = _begin(traces, first, jobs)
        self._others = [_begin(traces, parent, jobs) for parent in kept[1:]]
        for other in self._others:
            other.link(self.run.traceparent)
        for other in self._others[:_MOST_LINKS]:
            self.run.link(other.traceparent)

    def end(self, facts: Facts, failure: str = "") -> None:
        """End them; `facts` are about the whole batch."""
        self.run.note(facts)
        for span in (self.run, *self._others):
            span.end(failure)


def _begin(traces: Traces, parent: str, jobs: Mapping[str, JobId]) -> Span:
    span = traces.begin("run", "consumer", parent)
    if parent:
        span.note({"drybeans.job": jobs[parent]})
    return span
