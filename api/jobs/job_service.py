"""Find the job that a path names, wait for it and describe it."""

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
    """Return the owner of the current request: the id of its API key, empty while keys are off."""
    caller: Caller = g.caller
    return caller.owner


def request_context() -> RequestContext:
    """Return the context of the current request: its owner, its row quota and its trace."""
    caller: Caller = g.caller
    return RequestContext(owner=caller.owner, row_quota=caller.row_quota, trace=g.trace)


def log_job(job: Job) -> None:
    """Add `job` to the access log line of the current request."""
    g.job = job.id


def get_job(services: Services, job_id: str) -> Job:
    """Return the job `job_id`.

    Raise `JobNotFound`, also for a malformed id, or `JobDeleted`.
    """
    return _visible(services.load_job(parse_job_id(job_id)))


def get_job_with_results(services: Services, job: JobId) -> JobWithResults:
    """Return `job`, with its results if it is small.

    Raise `JobNotFound` or `JobDeleted`.
    """
    found = services.load_job_with_results(job)
    if found is None:
        raise JobNotFound
    _visible(found.job)
    return found


def wait_until_finished(services: Services, job: JobId, seconds: float) -> JobWithResults | None:
    """Wait up to `seconds` for `job`; return it with its results, None if it has not finished.

    A Redis notification only wakes the request: the database decides whether the job has finished.
    Raise `JobNotFound` or `JobDeleted`.
    """
    until = time.monotonic() + seconds
    while services.job_watcher.wait(job, until - time.monotonic()):
        found = get_job_with_results(services, job)
        if found.job.finished:
            return found
        services.job_watcher.forget_end(job)
    return None


def _visible(job: Job | None) -> Job:
    # Jobs of other keys must be indistinguishable from jobs that do not exist.
    if job is None or job.owner != owner():
        raise JobNotFound
    if job.deleted_at is not None:
        raise JobDeleted
    return job


def ensure_capacity(services: Services) -> None:
    """Check that new rows may be queued, in total and for this caller.

    Raise `Overloaded` or `QuotaExceeded`.
    """
    services.admission.check()
    services.authenticator.check_rows(g.caller)


def describe(services: Services, job: Job) -> JobDocument:
    """Return the document of `job`, with its drift, its webhook and its queue position."""
    return describe_all(services, [job])[0]


def describe_all(services: Services, jobs: Sequence[Job]) -> list[JobDocument]:
    """Return the documents of `jobs`; one query reads all webhook deliveries."""
    notified = [job.id for job in jobs if job.webhook_url and job.finished]
    deliveries = services.database.read(lambda c: read_deliveries(c, notified)) if notified else {}
    # Only summaries need manifests; the jobs of a page share a few.
    summarized = {job.pin: job for job in jobs if job.finished and job.summary}
    manifests = {pin: services.manifests.find(job) for pin, job in summarized.items()}
    return [
        job_document(
            job, manifests.get(job.pin), _queue_position(services, job), deliveries.get(job.id)
        )
        for job in jobs
    ]


def _queue_position(services: Services, job: Job) -> QueuePosition | None:
    if job.finished:
        return None
    remaining = job.rows_total - job.rows_succeeded - job.rows_failed
    return services.admission.rows_ahead(job.id, job.queue, remaining)


def parse_job_id(text: str) -> JobId:
    """Parse a job id in any notation of a UUID. Raise `JobNotFound` for anything else."""
    try:
        return JobId(str(UUID(text)))
    except ValueError:
        raise JobNotFound from None
