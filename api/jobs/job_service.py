"""Finds the job that a path names, and describes it."""

import time
from collections.abc import Sequence
from uuid import UUID

from flask import g

from api.background.admission import QueuePosition
from api.bootstrap import Services
from api.http.auth import Caller
from api.http.idempotency import RequestContext
from api.schemas.job import JobDocument, job_document
from shared.db.queries.results import JobWithResults
from shared.db.webhooks import read_deliveries
from shared.domain.errors import JobDeleted, JobNotFound
from shared.domain.jobs import Job, JobId


def owner() -> str:
    """Return the owner of the present request: the id of its API key, empty where keys are off."""
    caller: Caller = g.caller
    return caller.owner


def request_context() -> RequestContext:
    """Return the context of the current request: its owner, its row quota and its trace."""
    caller: Caller = g.caller
    return RequestContext(owner=caller.owner, row_quota=caller.row_quota, trail=g.trail)


def log_job(job: Job) -> None:
    """Have the line that the log gets of the present request name the job that it made."""
    g.job = job.id


def get_job(services: Services, job_id: str) -> Job:
    """Read the job that `job_id` names.

    Raises `JobNotFound`, also for what is no job id, and `JobDeleted`.
    """
    return _visible(services.load_job(parse_job_id(job_id)))


def get_job_with_results(services: Services, job: JobId) -> JobWithResults:
    """Read `job`, which has been waited for, with its results where these are few.

    Raises `JobNotFound` and `JobDeleted`.
    """
    whole = services.load_job_with_results(job)
    if whole is None:
        raise JobNotFound
    _visible(whole.job)
    return whole


def wait_until_finished(services: Services, job: JobId, seconds: float) -> JobWithResults | None:
    """Wait up to `seconds` for `job` and return it with its results, None when it goes on.

    A notification on Redis only wakes: the database says whether the job has finished. Raises
    `JobNotFound` and `JobDeleted`.
    """
    until = time.monotonic() + seconds
    while services.job_watcher.wait(job, until - time.monotonic()):
        whole = get_job_with_results(services, job)
        if whole.job.finished:
            return whole
        services.job_watcher.forget_end(job)
    return None


def _visible(job: Job | None) -> Job:
    # Another key's job does not exist: not even its absence may be told apart.
    if job is None or job.owner != owner():
        raise JobNotFound
    if job.deleted_at is not None:
        raise JobDeleted
    return job


def ensure_capacity(services: Services) -> None:
    """Check that new rows may come: in all, and for this caller.

    Raises `Overloaded` and `QuotaExceeded`.
    """
    services.admission.check()
    services.authenticator.check_rows(g.caller)


def describe(services: Services, job: Job) -> JobDocument:
    """Write `job` as a document, with its drift, its webhook and what waits before it."""
    return describe_all(services, [job])[0]


def describe_all(services: Services, jobs: Sequence[Job]) -> list[JobDocument]:
    """Write `jobs` as documents; those with webhooks cost one query together."""
    called = [job.id for job in jobs if job.webhook_url and job.finished]
    deliveries = services.database.read(lambda c: read_deliveries(c, called)) if called else {}
    # Only a summary needs them; jobs of a page share a few.
    summarized = {job.pin: job for job in jobs if job.finished and job.summary}
    manifests = {pin: services.manifests.find(job) for pin, job in summarized.items()}
    return [
        job_document(job, manifests.get(job.pin), _ahead(services, job), deliveries.get(job.id))
        for job in jobs
    ]


def _ahead(services: Services, job: Job) -> QueuePosition | None:
    if job.finished:
        return None
    left = job.rows_total - job.rows_succeeded - job.rows_failed
    return services.admission.rows_ahead(job.id, job.queue, left)


def parse_job_id(text: str) -> JobId:
    """Read a job id in any spelling of a UUID. Raises `JobNotFound` for anything else."""
    try:
        return JobId(str(UUID(text)))
    except ValueError:
        raise JobNotFound from None
