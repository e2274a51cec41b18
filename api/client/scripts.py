"""What the client does, step by step, without doing it: see `effects.py`."""

from typing import Final
from uuid import uuid4

from api.client import calls
from api.client.effects import Emit, Pause, Script
from api.client.errors import Conflict, NotFound, WaitTimedOut
from api.client.exchanges import Exchanges
from api.client.reading import (
    job_of,
    model_of,
    models_of,
    page_of,
    read_document,
    report_of,
    row_of,
)
from api.client.sources import Source, no_progress, open_source
from api.client.streams import emit_lines
from api.client.values import Job, Model, Report, Row

_PAGE: Final = 200


def new_key() -> str:
    """Make an idempotency key that nobody has used."""
    return str(uuid4())


def submit(
    ask: Exchanges, source: Source, options: calls.SubmitOptions, wait: int | None = None
) -> Script[Job]:
    """Submit `source` and give the job; it is waited for up to `wait` seconds."""
    key = options.get("idempotency_key") or new_key()
    with open_source(source, options.get("progress", no_progress)) as opened:
        answer = yield from ask(calls.submit(opened, options, key, wait))
    return read_document(answer.body, job_of)


def check(ask: Exchanges, source: Source, options: calls.SubmitOptions) -> Script[Report]:
    """Have the rows of `source` looked at, and give what is wrong with them."""
    with open_source(source, options.get("progress", no_progress)) as opened:
        answer = yield from ask(calls.check(opened, options))
    return read_document(answer.body, report_of)


def predict(ask: Exchanges, source: Source, options: calls.SubmitOptions) -> Script[list[Row]]:
    """Submit `source`, wait for it, and give all its rows."""
    job = yield from submit(ask, source, options, calls.WAIT_SECONDS)
    if not job.finished:
        job = yield from wait(ask, job.id, None)
    inline = job.document.get("results")
    if inline is not None:
        return [row_of(row) for row in inline]
    rows: list[Row] = []
    request = calls.results(job.id, "ndjson", include_input=False)
    yield from emit_lines(ask, request, lambda line: rows.append(read_document(line, row_of)))
    return rows


def status(ask: Exchanges, job: str) -> Script[Job]:
    """Look at a job."""
    answer = yield from ask(calls.look(job))
    return read_document(answer.body, job_of)


def wait(ask: Exchanges, job: str, within: float | None) -> Script[Job]:
    """Wait until a job has finished. Raises `WaitTimedOut` after `within` seconds."""
    until = None if within is None else ask.clock() + within
    while True:
        left = calls.WAIT_SECONDS if until is None else until - ask.clock()
        seconds = max(0, min(round(left), calls.WAIT_SECONDS))
        answer = yield from ask(calls.look(job, seconds))
        found = read_document(answer.body, job_of)
        if found.finished:
            return found
        if until is not None and ask.clock() >= until:
            raise WaitTimedOut(f"The job {job} is still {found.state} after {within:g} s.")
        if seconds < 1:
            yield Pause(max(0.0, min(left, 0.1)))


def jobs(ask: Exchanges, wanted: calls.Filter) -> Script[None]:
    """Emit the jobs that are `wanted`, newest first."""
    token: str | None = None
    while True:
        answer = yield from ask(calls.list_jobs(wanted, _PAGE, token))
        page, token = read_document(answer.body, page_of)
        for job in page:
            yield Emit(job)
        if token is None:
            return


def cancel(ask: Exchanges, job: str) -> Script[Job]:
    """Cancel a job, or find that it is canceled already."""
    try:
        answer = yield from ask(calls.cancel(job))
    except Conflict:
        # A first request may have done it, and its answer been lost.
        found = yield from status(ask, job)
        if found.state == "canceled":
            return found
        raise
    return read_document(answer.body, job_of)


def retry(ask: Exchanges, job: str) -> Script[Job]:
    """Run again what a job did not run, as a new job."""
    answer = yield from ask(calls.retry(job))
    return read_document(answer.body, job_of)


def delete(ask: Exchanges, job: str) -> Script[None]:
    """Erase a job, or find that it has been erased."""
    try:
        yield from ask(calls.delete(job))
    except NotFound as error:
        if error.code != "job_deleted":
            raise


def models(ask: Exchanges) -> Script[list[Model]]:
    """List the models."""
    answer = yield from ask(calls.models())
    return read_document(answer.body, models_of)


def model(ask: Exchanges, name: str) -> Script[Model]:
    """Read all about a model."""
    answer = yield from ask(calls.model(name))
    return read_document(answer.body, model_of)
