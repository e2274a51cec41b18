"""Jobs and models as the documents that clients read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from api.schemas.job import job_document, model_document
from shared.domain.jobs import Job, JobFailure, JobId, JobState
from tests.models import a_feature, a_manifest

CREATED = datetime(2026, 1, 2, tzinfo=UTC)
DONE = Job(
    id=JobId("0190"),
    state=JobState.PARTIAL,
    layout=None,
    model_name="toy",
    model_version=1,
    model_sha256="0" * 64,
    outputs=("label",),
    labels={"batch": "7"},
    rows_total=3,
    rows_succeeded=2,
    rows_failed=1,
    attempts=1,
    summary={"counts": {"a": 2}, "out_of_range": {}},
    failure=None,
    warnings=("Columns not used: x.",),
    created_at=CREATED,
    started_at=CREATED + timedelta(seconds=1),
    finished_at=CREATED + timedelta(seconds=2),
    expires_at=CREATED + timedelta(days=7),
)
RUNNING = replace(DONE, state=JobState.RUNNING, rows_failed=0, finished_at=None, expires_at=None)


def test_a_job_says_all_that_its_client_may_know() -> None:
    """State, model, rows, times and links; the names are those of the HTTP contract."""
    document = job_document(DONE)

    assert document["id"] == "0190"
    assert document["state"] == "partial"
    assert document["model"] == {"name": "toy", "version": 1, "sha256": "0" * 64}
    assert document["rows"] == {"total": 3, "succeeded": 2, "failed": 1}
    assert document["labels"] == {"batch": "7"}
    assert document["warnings"] == ("Columns not used: x.",)
    assert document["created_at"] == CREATED
    assert document["links"]["self"] == "/jobs/0190"
    assert document["links"]["results"] == "/jobs/0190/results"


def test_a_summary_is_shown_once_the_job_is_finished() -> None:
    """Counts of a part of the rows would be read as those of the whole."""
    shown = {"counts": {"a": 2}, "out_of_range": {}, "drift": {}, "drift_rows": 0}
    assert job_document(DONE)["summary"] == shown
    assert job_document(RUNNING)["summary"] is None


def test_drift_is_shown_and_the_histograms_behind_it_are_not() -> None:
    """A reader wants to know how far the rows are from training, in one number a feature."""
    manifest = a_manifest(features=(a_feature("Area"), a_feature("Width", histogram=None)))
    summary = {"counts": {"a": 100}, "out_of_range": {}, "histogram_rows": 100}
    job = replace(DONE, summary=summary | {"histograms": {"Area": [30, 70]}})

    shown, unknown = job_document(job, manifest)["summary"], job_document(job)["summary"]

    assert shown is not None
    assert unknown is not None
    assert shown.keys() == {"counts", "out_of_range", "drift", "drift_rows"}
    assert shown["drift"] == {"Area": pytest.approx(0.16, abs=0.01)}
    assert shown["drift_rows"] == 100
    assert unknown["drift"] == {}


def test_fewer_than_a_hundred_rows_have_no_drift() -> None:
    """However many chunks they were in: it would say more about chance than about the rows."""
    manifest = a_manifest(features=(a_feature("Area"),))
    summary = {"counts": {"a": 99}, "out_of_range": {"Area": 2}, "histogram_rows": 99}
    job = replace(DONE, summary=summary | {"histograms": {"Area": [30, 69]}})

    assert job_document(job, manifest)["summary"] == {
        "counts": {"a": 99},
        "out_of_range": {"Area": 2},
        "drift": {},
        "drift_rows": 0,
    }


@pytest.mark.parametrize(
    "job, progress",
    [
        (RUNNING, 0.6667),
        (DONE, 1.0),
        (replace(RUNNING, state=JobState.QUEUED, rows_succeeded=0), 0.0),
        (replace(RUNNING, state=JobState.CANCELED), 0.6667),
        (replace(RUNNING, state=JobState.FAILED, rows_succeeded=0), 0.0),
        (replace(RUNNING, state=JobState.RECEIVING, rows_succeeded=0, rows_total=0), 0.0),
    ],
)
def test_progress_is_the_share_of_rows_that_were_tried(job: Job, progress: float) -> None:
    """From 0 to 1; a job that was stopped or refused stays where it was."""
    assert job_document(job)["progress"] == progress


def test_a_job_that_failed_says_why() -> None:
    """Code for programs, detail for people; nothing when nothing went wrong."""
    failed = replace(DONE, failure=JobFailure(code="worker_died", detail="Four workers died."))

    assert job_document(failed)["error"] == {"code": "worker_died", "detail": "Four workers died."}
    assert job_document(DONE)["error"] is None


def test_a_model_says_what_to_send_and_what_comes_back() -> None:
    """Features with units, aliases and ranges; classes; how the label is found; sample rows."""
    manifest = a_manifest(features=(a_feature("Area", aliases=("Size",)),))

    document = model_document(manifest, default=True)

    assert (document["name"], document["version"], document["default"]) == ("toy", 1, True)
    assert document["classes"] == ("a", "b", "c")
    assert document["sample"] == ((0.0, 1.0, 2.0),)
    assert document["links"] == {"self": "/models/toy/1"}
    assert document["features"] == [
        {
            "name": "Area",
            "unit": "pixels",
            "description": "How much of it there is.",
            "aliases": ("Size",),
            "minimum": -9.0,
            "maximum": 9.0,
        }
    ]


def test_a_model_keeps_its_golden_rows_and_files_to_itself() -> None:
    """They are between the artifact and the worker."""
    assert not {"golden", "model", "trusted_types", "libraries"} & set(
        model_document(a_manifest(), default=False)
    )
