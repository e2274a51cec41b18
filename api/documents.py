"""Jobs and models as the JSON documents that clients read."""

from collections.abc import Mapping
from typing import Any

from api.backlog import Ahead
from shared.domain.jobs import Job
from shared.domain.manifest import Feature, Manifest
from shared.domain.summaries import drift
from shared.domain.webhooks import Delivery


def job_document(
    job: Job,
    manifest: Manifest | None = None,
    ahead: Ahead | None = None,
    delivery: Delivery | None = None,
) -> dict[str, Any]:
    """Write `job` as clients see it.

    What drifted from training stands in `manifest`; `ahead` is what waits before a job that has
    not finished, `delivery` what became of its webhook once it has.
    """
    path = f"/jobs/{job.id}"
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
        "summary": _summary(job.summary, manifest) if job.finished and job.summary else None,
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
        "links": {
            "self": path,
            "results": f"{path}/results",
            "errors": f"{path}/errors",
            "events": f"{path}/events",
            "cancel": f"{path}/cancel",
        },
    }  # fmt: skip


def _webhook(url: str, delivery: Delivery | None) -> dict[str, Any]:
    return {
        "url": url,
        "state": delivery.state if delivery else "waiting",
        "attempts": delivery.attempts if delivery else 0,
        "next_attempt_at": delivery.next_attempt_at if delivery else None,
        "last_attempt_at": delivery.last_attempt_at if delivery else None,
        "last_status": delivery.last_status if delivery else None,
        "last_error": delivery.last_error if delivery else None,
    }


def _summary(summary: Mapping[str, Any], manifest: Manifest | None) -> dict[str, Any]:
    return {
        "counts": summary["counts"],
        "out_of_range": summary["out_of_range"],
        "drift": drift(summary, manifest.features if manifest else ()),
        "drift_rows": summary.get("histogram_rows", 0),
    }


def model_document(manifest: Manifest, *, default: bool) -> dict[str, Any]:
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


def _feature(feature: Feature) -> Mapping[str, Any]:
    return {
        "name": feature.name,
        "unit": feature.unit,
        "description": feature.description,
        "aliases": feature.aliases,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
    }
