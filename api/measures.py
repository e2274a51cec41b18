"""Counts commits and publications around those who make them."""

from collections.abc import Callable, Sequence

from shared.domain.chunks import Dispatch, Submission
from shared.domain.errors import QueueDown
from shared.metrics import ApiMetrics

Store = Callable[[Sequence[Submission]], list[Dispatch]]
Publish = Callable[[Sequence[Dispatch]], int]


def counted_store(store: Store, metrics: ApiMetrics) -> Store:
    """Give `store`, which commits a group, with its commits counted and timed."""

    def commit(group: Sequence[Submission]) -> list[Dispatch]:
        with metrics.commit_seconds.time():
            dispatches = store(group)
        metrics.group_jobs.observe(len(group))
        for submission in group:
            metrics.accepted_rows.labels(submission.queue.value).inc(submission.row_count)
        return dispatches

    return commit


def counted_publish(publish: Publish, metrics: ApiMetrics) -> Publish:
    """Give `publish` with its failures counted."""

    def counted(dispatches: Sequence[Dispatch]) -> int:
        try:
            return publish(dispatches)
        except QueueDown:
            metrics.publish_failures.inc()
            raise

    return counted
