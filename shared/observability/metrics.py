"""Every metric of drybeans: its name, what it means, its labels.

Nothing is registered on import: each part makes its own metrics, and those that nobody reads cost
a microsecond and do no harm.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Mode = Literal["livesum", "livemax", "mostrecent"]
"""How a gauge of several processes becomes one; `live` forgets processes that ended."""

_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0),
)
_COUNTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What one metric is called and what it says; `name` is as it is scraped."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _SECONDS
    mode: Mode = "livesum"

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Make a counter of `registry`."""
        return Counter(self.name, self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """Make a histogram of `registry`."""
        return Histogram(self.name, self.help, self.labels, registry=registry, buckets=self.buckets)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """Make a gauge of `registry`."""
        return Gauge(
            self.name, self.help, self.labels, registry=registry, multiprocess_mode=self.mode
        )

    def family(self, found: Iterable[tuple[Sequence[str], float]]) -> GaugeMetricFamily:
        """Make a gauge of what was `found` at a scrape: the labels' values, and the number."""
        family = GaugeMetricFamily(self.name, self.help, labels=self.labels)
        for labels, value in found:
            family.add_metric(labels, value)
        return family


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=name, kind="counter", help=help_, labels=labels)


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=name, kind="gauge", help=help_, labels=labels)


def _seconds(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name=name, kind="histogram", help=help_, labels=labels)


REQUESTS: Final = _counter(
    "drybeans_http_requests_total", "Requests answered.", "method", "route", "status"
)
REQUEST_SECONDS: Final = _seconds(
    "drybeans_http_request_duration_seconds",
    "Time until the whole answer was sent, waits and streams included.",
    *("method", "route"),
)
IN_PROGRESS: Final = _gauge(
    "drybeans_http_requests_in_progress", "Requests that are being answered."
)
GROUP_JOBS: Final = Metric(
    name="drybeans_intake_group_jobs",
    kind="histogram",
    help="Jobs that were committed together.",
    buckets=_COUNTS,
)
COMMIT_SECONDS: Final = _seconds(
    "drybeans_intake_commit_duration_seconds", "Time of the transaction that stores a group."
)
ACCEPTED_ROWS: Final = _counter(
    "drybeans_intake_rows_total", "Rows of jobs that were committed as a group.", "queue"
)
PUBLISH_FAILURES: Final = _counter(
    "drybeans_publish_failures_total",
    "Times that Redis did not take messages; the sweep publishes what they were about.",
)
QUEUE_ROWS: Final = _gauge(
    "drybeans_queue_rows", "Rows of unfinished chunks, by the database.", "queue", "state"
)
QUEUE_AGE: Final = _gauge(
    "drybeans_queue_oldest_age_seconds",
    "Age of the oldest job with an unfinished chunk, 0 when there is none.",
    "queue",
)
QUEUE_MESSAGES: Final = _gauge(
    "drybeans_queue_messages", "Messages on Redis that no worker has taken.", "queue"
)
DATABASE_UP: Final = _gauge("drybeans_database_up", "1 when the database can be written.")
REDIS_UP: Final = _gauge("drybeans_redis_up", "1 when Redis answers.")
WORKER_BEAT: Final = _gauge(
    "drybeans_worker_last_beat_timestamp_seconds",
    "When a worker last took messages; one that died is told of for 15 minutes.",
    *("worker", "queues"),
)
MODEL_INFO: Final = _gauge(
    "drybeans_model_info", "Models that can be asked for.", "model", "sha256", "default"
)

STEP_SECONDS: Final = _seconds(
    "drybeans_batch_step_duration_seconds", "Time of one step of a batch.", "step"
)
ROWS: Final = _counter("drybeans_rows_total", "Rows whose outcome was written.", "model", "outcome")
CHUNKS: Final = _counter(
    "drybeans_chunks_total",
    "Chunks that were written, given up, or lost to another claim.",
    "outcome",
)
CLAIMS: Final = _counter(
    "drybeans_claims_total", "Chunks taken, claimed or not, by attempt.", "attempt"
)
JOBS: Final = _counter("drybeans_jobs_finished_total", "Jobs that a worker finished.", "state")
DRIFT: Final = Metric(
    name="drybeans_drift_index",
    kind="gauge",
    help="Stability index of a feature in the last batch with enough rows; above 0.25 is much.",
    labels=("model", "feature"),
    mode="mostrecent",
)
MODEL_LOADED: Final = Metric(
    name="drybeans_worker_model_loaded",
    kind="gauge",
    help="Models that a process of this worker holds.",
    labels=("model", "sha256"),
    mode="livemax",
)
PROCESS_STARTS: Final = _counter(
    "drybeans_worker_process_starts_total", "Processes that the worker's pool has started."
)
WORKER_INFO: Final = _gauge("drybeans_worker_info", "Which worker answers.", "worker", "queues")

SWEEP_FINDINGS: Final = _counter(
    "drybeans_sweep_findings_total", "What the sweep found and mended.", "finding"
)
FINDINGS: Final = (
    *("leases_returned", "chunks_given_up", "chunks_republished", "redis_emptied"),
    *("jobs_recounted", "jobs_expired", "jobs_erased", "chunks_purged"),
)
SWEEP_SECONDS: Final = _seconds("drybeans_sweep_pass_duration_seconds", "Time of one pass.")
SWEEP_LAST: Final = _gauge(
    "drybeans_sweep_last_pass_timestamp_seconds", "When a pass last came to its end."
)

WEBHOOK_ATTEMPTS: Final = _counter(
    "drybeans_webhook_attempts_total",
    "Attempts to deliver a webhook: delivered, to be tried again, given up, or no longer wanted.",
    "outcome",
)
WEBHOOK_OUTCOMES: Final = ("delivered", "again", "failed", "gone")
WEBHOOKS_DUE: Final = _gauge(
    "drybeans_webhooks_due", "Webhooks whose next attempt is due, by the database."
)
WEBHOOKS_LATE: Final = _gauge(
    "drybeans_webhooks_late_seconds",
    "How long the longest of them has been due, 0 when there is none.",
)

ALL: Final[Mapping[str, tuple[Metric, ...]]] = {
    "API": (
        *(REQUESTS, REQUEST_SECONDS, IN_PROGRESS, GROUP_JOBS, COMMIT_SECONDS, ACCEPTED_ROWS),
        *(PUBLISH_FAILURES, QUEUE_ROWS, QUEUE_AGE, QUEUE_MESSAGES, DATABASE_UP, REDIS_UP),
        *(WORKER_BEAT, MODEL_INFO, WEBHOOKS_DUE, WEBHOOKS_LATE),
    ),
    "worker": (
        *(STEP_SECONDS, ROWS, CHUNKS, CLAIMS, JOBS, DRIFT, MODEL_LOADED, PROCESS_STARTS),
        *(WORKER_INFO, PUBLISH_FAILURES),
    ),
    "sweeper": (*(SWEEP_FINDINGS, SWEEP_SECONDS, SWEEP_LAST, WEBHOOK_ATTEMPTS, PUBLISH_FAILURES),),
}
"""Each part's metrics."""


class ApiMetrics:
    """What an API process counts."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.registry = CollectorRegistry()
        self.requests = REQUESTS.counter(self.registry)
        self.request_seconds = REQUEST_SECONDS.histogram(self.registry)
        self.in_progress = IN_PROGRESS.gauge(self.registry)
        self.group_jobs = GROUP_JOBS.histogram(self.registry)
        self.commit_seconds = COMMIT_SECONDS.histogram(self.registry)
        self.accepted_rows = ACCEPTED_ROWS.counter(self.registry)
        self.publish_failures = PUBLISH_FAILURES.counter(self.registry)


class WorkerMetrics:
    """What a process of a worker's pool counts."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.registry = CollectorRegistry()
        self.step_seconds = STEP_SECONDS.histogram(self.registry)
        self.rows = ROWS.counter(self.registry)
        self.chunks = CHUNKS.counter(self.registry)
        self.claims = CLAIMS.counter(self.registry)
        self.jobs = JOBS.counter(self.registry)
        self.drift = DRIFT.gauge(self.registry)
        self.model_loaded = MODEL_LOADED.gauge(self.registry)
        self.process_starts = PROCESS_STARTS.counter(self.registry)
        self.publish_failures = PUBLISH_FAILURES.counter(self.registry)


class SweepMetrics:
    """What a sweeper counts."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.registry = CollectorRegistry()
        self.findings = SWEEP_FINDINGS.counter(self.registry)
        for finding in FINDINGS:
            # There from the start: the first one would else be no increase.
            self.findings.labels(finding)
        self.pass_seconds = SWEEP_SECONDS.histogram(self.registry)
        self.last_pass = SWEEP_LAST.gauge(self.registry)
        self.webhook_attempts = WEBHOOK_ATTEMPTS.counter(self.registry)
        for outcome in WEBHOOK_OUTCOMES:
            self.webhook_attempts.labels(outcome)
        self.publish_failures = PUBLISH_FAILURES.counter(self.registry)


class ScrapeCollector(Collector):
    """Gauges that are looked up when they are asked for."""

    def __init__(self, look: Callable[[], Iterable[GaugeMetricFamily]]) -> None:
        """Take `look`, which finds them."""
        self._look = look

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Say nothing beforehand, so that registering looks nothing up."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Look."""
        return self._look()
