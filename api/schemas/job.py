"""The JSON documents of jobs, results and models, and their construction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired

from pydantic import JsonValue
from typing_extensions import TypedDict

from api.background.admission import QueuePosition
from shared.domain.jobs import Job, JobState, Queue
from shared.domain.webhooks import Delivery
from shared.models.manifest import Feature, Manifest
from shared.models.summaries import drift, drift_rows


class RowProblem(TypedDict):
    """The reason why a row has no label."""

    code: str
    field: str | None
    detail: str


class ResultRow(TypedDict):
    """The label or the error of a row."""

    row: int
    line: NotRequired[int | None]
    id: NotRequired[str]
    label: NotRequired[str]
    probabilities: NotRequired[dict[str, float]]
    error: NotRequired[RowProblem]
    input: NotRequired[dict[str, str | float | None]]


class ResultsPage(TypedDict):
    """A page of results and the link to the next page."""

    results: Sequence[ResultRow]
    next: str | None
    total: int


class ModelVersion(TypedDict):
    """A version of a model."""

    name: str
    version: int
    sha256: str


class RowCounts(TypedDict):
    """The number of rows of a job, in total and by outcome."""

    total: int
    succeeded: int
    failed: int


class Summary(TypedDict):
    """Aggregates over the rows of a job."""

    counts: Mapping[str, int]
    out_of_range: Mapping[str, int]
    drift: Mapping[str, float]
    drift_rows: int


class QueueStatus(TypedDict):
    """The queue of a job, and the number of rows queued ahead of it."""

    name: Queue
    rows_ahead: int


class JobError(TypedDict):
    """The reason why a job failed or ended early."""

    code: str
    detail: str


class WebhookDocument(TypedDict):
    """The delivery state of a job's webhook."""

    url: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None


class JobLinks(TypedDict):
    """The paths of a job and its related resources."""

    self: str
    results: str
    errors: str
    events: str
    cancel: str
    retry: str | None


class JobDocument(TypedDict):
    """A job."""

    id: str
    state: JobState
    model: ModelVersion
    outputs: Sequence[str]
    rows: RowCounts
    progress: float
    summary: Summary | None
    queue: QueueStatus | None
    eta_seconds: float | None
    attempts: int
    error: JobError | None
    warnings: Sequence[str]
    labels: Mapping[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    retry_of: str | None
    webhook: WebhookDocument | None
    links: JobLinks
    results: NotRequired[Sequence[ResultRow]]


class JobsPage(TypedDict):
    """A page of jobs, newest first, and the link to the next page."""

    jobs: Sequence[JobDocument]
    next_page_token: str | None
    next: str | None


class FeatureDocument(TypedDict):
    """A numeric feature that a model expects in each row."""

    name: str
    unit: str
    description: str
    aliases: Sequence[str]
    minimum: float
    maximum: float


class SelfLink(TypedDict):
    """The path of the resource."""

    self: str


class ModelSummary(TypedDict):
    """A short description of a model version."""

    name: str
    version: int
    default: bool
    description: str
    classes: Sequence[str]
    outputs: Sequence[str]
    links: SelfLink


class ModelDocument(ModelSummary):
    """A model version: its features, classes, outputs and metrics."""

    sha256: str
    label_rule: str
    features: Sequence[FeatureDocument]
    metrics: Mapping[str, JsonValue]
    training: Mapping[str, JsonValue]
    sample: Sequence[Sequence[float]]


class ModelList(TypedDict):
    """Every version of every model."""

    models: Sequence[ModelSummary]


class Tensor(TypedDict):
    """A named array of values."""

    name: str
    shape: Sequence[int]
    datatype: str
    data: Sequence[str | float]


def job_document(
    job: Job,
    manifest: Manifest | None = None,
    ahead: QueuePosition | None = None,
    delivery: Delivery | None = None,
) -> JobDocument:
    """Return the document of `job`.

    Drift is computed against the training histograms of `manifest`. `ahead` is the queue position
    of an unfinished job, `delivery` the webhook delivery of a finished one.
    """
    return {
        "id": job.id,
        "state": job.state,
        "model": {
            "name": job.model_name, "version": job.model_version, "sha256": job.model_sha256
        },
        "outputs": job.outputs,
        "rows": {
            "total": job.rows_total, "succeeded": job.rows_succeeded, "failed": job.rows_failed
        },
        "progress": round(job.progress, 4),
        "summary": _summary(job.summary or {}, manifest) if job.finished else None,
        "queue": {"name": job.queue, "rows_ahead": ahead.rows} if ahead else None,
        "eta_seconds": ahead.seconds if ahead else None,
        "attempts": job.attempts,
        "error": (
            {"code": job.failure.code, "detail": job.failure.detail} if job.failure else None
        ),
        "warnings": job.warnings,
        "labels": job.labels,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "expires_at": job.expires_at,
        "retry_of": job.retry_of,
        "webhook": _webhook(job.webhook_url, delivery) if job.webhook_url else None,
        "links": _links(job),
    }  # fmt: skip


def _links(job: Job) -> JobLinks:
    path = f"/jobs/{job.id}"
    return {
        "self": path,
        "results": f"{path}/results",
        "errors": f"{path}/errors",
        "events": f"{path}/events",
        "cancel": f"{path}/cancel",
        # None if no rows remain to be retried.
        "retry": f"{path}/retry" if job.can_retry else None,
    }


def _webhook(url: str, delivery: Delivery | None) -> WebhookDocument:
    return {
        "url": url,
        "state": delivery.state if delivery else "waiting",
        "attempts": delivery.attempts if delivery else 0,
        "next_attempt_at": delivery.next_attempt_at if delivery else None,
        "last_attempt_at": delivery.last_attempt_at if delivery else None,
        "last_status": delivery.last_status if delivery else None,
        "last_error": delivery.last_error if delivery else None,
    }


def _summary(summary: Mapping[str, Any], manifest: Manifest | None) -> Summary:
    return {
        "counts": summary.get("counts", {}),
        "out_of_range": summary.get("out_of_range", {}),
        "drift": drift(summary, manifest.features if manifest else ()),
        "drift_rows": drift_rows(summary),
    }


def model_document(manifest: Manifest, *, default: bool) -> ModelDocument:
    """Return the document of a model version."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "default": default,
        "description": manifest.description,
        "sha256": manifest.sha256,
        "classes": manifest.classes,
        "outputs": manifest.outputs,
        "label_rule": manifest.label_rule,
        "features": [_feature(feature) for feature in manifest.features],
        "metrics": manifest.metrics,
        "training": manifest.training,
        "sample": manifest.sample,
        "links": {"self": f"/models/{manifest.name}/{manifest.version}"},
    }


def _feature(feature: Feature) -> FeatureDocument:
    return {
        "name": feature.name,
        "unit": feature.unit,
        "description": feature.description,
        "aliases": feature.aliases,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
    }
