"""The JSON documents that clients read: what they hold, and how jobs and models become them."""

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
    """Why a row has no label."""

    code: str
    field: str | None
    detail: str


class ResultRow(TypedDict):
    """A row's label or its error."""

    row: int
    line: NotRequired[int | None]
    id: NotRequired[str]
    label: NotRequired[str]
    probabilities: NotRequired[dict[str, float]]
    error: NotRequired[RowProblem]
    input: NotRequired[dict[str, str | float | None]]


class ResultsPage(TypedDict):
    """Some of a job's results, and where there are more."""

    results: Sequence[ResultRow]
    next: str | None
    total: int


class ModelVersion(TypedDict):
    """Which model a job runs on."""

    name: str
    version: int
    sha256: str


class RowCounts(TypedDict):
    """How many rows a job has, and what became of them."""

    total: int
    succeeded: int
    failed: int


class Summary(TypedDict):
    """What a job's rows look like as a whole."""

    counts: Mapping[str, int]
    out_of_range: Mapping[str, int]
    drift: Mapping[str, float]
    drift_rows: int


class Waiting(TypedDict):
    """In which queue a job is, and how many rows are before it."""

    name: Queue
    rows_ahead: int


class Failure(TypedDict):
    """Why a job as a whole came to nothing."""

    code: str
    detail: str


class WebhookDocument(TypedDict):
    """What became of a job's webhook."""

    url: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None


class JobLinks(TypedDict):
    """Where a job and all that belongs to it is."""

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
    queue: Waiting | None
    eta_seconds: float | None
    attempts: int
    error: Failure | None
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
    """Some jobs, newest first, and where there are more."""

    jobs: Sequence[JobDocument]
    next_page_token: str | None
    next: str | None


class FeatureDocument(TypedDict):
    """A number that a model wants of each row."""

    name: str
    unit: str
    description: str
    aliases: Sequence[str]
    minimum: float
    maximum: float


class SelfLink(TypedDict):
    """Where this is."""

    self: str


class ModelSummary(TypedDict):
    """A model version, in short."""

    name: str
    version: int
    default: bool
    description: str
    classes: Sequence[str]
    outputs: Sequence[str]
    links: SelfLink


class ModelDocument(ModelSummary):
    """A model version: what it takes, what it gives, how good it is."""

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
    """Write `job` as clients see it.

    What drifted from training stands in `manifest`; `ahead` is what waits before a job that has
    not finished, `delivery` what became of its webhook once it has.
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
        # None where a retry would find nothing to run.
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
    """Write all that a client needs to know of a model version."""
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
