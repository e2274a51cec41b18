"""Jobs, results and models as the JSON documents that clients read."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.db.jobs import StoredResult
from shared.domain.jobs import Job
from shared.domain.manifest import Feature, Manifest
from shared.domain.rows import RowError

_DIGITS = 7


def job_document(job: Job) -> dict[str, Any]:
    """Write `job` as clients see it."""
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
        "summary": job.summary if job.finished else None,
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
        "links": {"self": path, "results": f"{path}/results"},
    }  # fmt: skip


def result_rows(
    stored: StoredResult, classes: Sequence[str], first: int, last: int
) -> Iterator[dict[str, Any]]:
    """Write the rows of `stored` that lie between `first` and `last` - 1, one after another.

    `classes` names the columns of its probabilities.
    """
    errors = {error.row: error for error in stored.errors}
    start = max(first - stored.first_row, 0)
    end = min(last - stored.first_row, stored.row_count)
    chances = _probabilities(stored, len(classes))
    for offset in range(start, end):
        row: dict[str, Any] = {"row": stored.first_row + offset}
        label = stored.labels[offset] if stored.labels is not None else None
        if label is None:
            row["error"] = _row_error(stored, errors.get(offset))
        else:
            row["label"] = label
            if chances is not None:
                row["probabilities"] = dict(zip(classes, chances[offset], strict=True))
        yield row


def _probabilities(stored: StoredResult, width: int) -> list[list[float]] | None:
    if stored.probabilities is None:
        return None
    values = array("f")
    values.frombytes(stored.probabilities)
    rounded = [round(value, _DIGITS) for value in values]
    return [rounded[at : at + width] for at in range(0, len(rounded), width)]


def _row_error(stored: StoredResult, error: RowError | None) -> dict[str, Any]:
    if error is not None:
        return {"code": error.code, "field": error.field, "detail": error.detail}
    if stored.failure is not None:
        return {"code": stored.failure.code, "field": None, "detail": stored.failure.detail}
    return {"code": "no_label", "field": None, "detail": "The row has no label."}


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
