"""Metrics and trace spans for commits and publications."""

import time
from collections.abc import Callable, Sequence

from shared.domain.chunks import Dispatch, Submission
from shared.domain.errors import QueueDown
from shared.observability.metrics import ApiMetrics
from shared.observability.tracing import Facts, Traces, below, is_sampled

Accept = Callable[[Submission], None]
Store = Callable[[Sequence[Submission]], list[Dispatch]]
Publish = Callable[[Sequence[Dispatch]], int]


def count_commits(store: Store, metrics: ApiMetrics) -> Store:
    """Wrap `store`, which commits a group, to count and time its commits."""

    def commit(group: Sequence[Submission]) -> list[Dispatch]:
        with metrics.commit_seconds.time():
            dispatches = store(group)
        metrics.group_jobs.observe(len(group))
        for submission in group:
            metrics.accepted_rows.labels(submission.queue.value).inc(submission.row_count)
        return dispatches

    return commit


def count_publications(publish: Publish, metrics: ApiMetrics) -> Publish:
    """Wrap `publish` to count its failures."""

    def counted(dispatches: Sequence[Dispatch]) -> int:
        try:
            return publish(dispatches)
        except QueueDown:
            metrics.publish_failures.inc()
            raise

    return counted


def trace_commits(accept: Accept, traces: Traces) -> Accept:
    """Wrap `accept` in a child span of the request: the wait for the writer and the commit."""

    def traced(submission: Submission) -> None:
        facts: Facts = {"drybeans.job": submission.id, "drybeans.rows": submission.row_count}
        with below(traces, submission.trace.traceparent, "commit", facts=facts):
            accept(submission)

    return traced


def trace_publications(publish: Publish, traces: Traces) -> Publish:
    """Wrap `publish` to record a child span for each request whose chunks are published."""

    def traced(dispatches: Sequence[Dispatch]) -> int:
        started = time.time_ns()
        failure = ""
        try:
            return publish(dispatches)
        except QueueDown as error:
            failure = error.code
            raise
        finally:
            _record_publish_spans(traces, dispatches, started, failure)

    return traced


def _record_publish_spans(
    traces: Traces, dispatches: Sequence[Dispatch], started: int, failure: str
) -> None:
    # One span a request, however many chunks, and only for sampled traces.
    parents = {d.trace.traceparent: d for d in dispatches if is_sampled(d.trace.traceparent)}
    for parent, dispatch in parents.items():
        span = traces.begin("publish", "producer", parent, started)
        span.note(
            {
                "messaging.system": "redis",
                "messaging.destination.name": dispatch.queue.value,
                "drybeans.job": dispatch.ref.job,
            }
        )
        span.end(failure)
