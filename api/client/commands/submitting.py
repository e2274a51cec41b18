"""Submit a file, and follow a job to its end."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from api.client.calls import SubmitOptions
from api.client.commands import options as given
from api.client.commands.options import Target
from api.client.scripts import new_key
from api.client.session import FAILED, OK, PARTIAL, Session, connected, exit_code
from api.client.sources import Source
from api.client.terminal import describe
from api.client.values import Job


@click.command()
@click.argument("file", metavar="FILE")
@given.about_the_job
@given.about_the_rows
@click.option("--check", is_flag=True, help="Tell what is wrong with the rows; make no job.")
@click.option("--wait", is_flag=True, help="Wait until the job has finished; -o does too.")
@given.with_target
@click.option(
    "--idempotency-key", metavar="KEY", help="Sent again under the same key, it makes one job."
)
@connected
def submit(session: Session, file: str, target: Target, **options: Any) -> int:
    """Submit a CSV of any size, or JSON.

    A CSV may be compressed by gzip or zstd; - is standard input. Prints the job's id. With --wait
    or -o it stays to the end and shows what failed.
    """
    check, wait, key = (options.pop(name) for name in ("check", "wait", "idempotency_key"))
    if check and (wait or key or target.output):
        raise click.UsageError("--check makes no job: there is nothing to wait for or to save.")
    if check:
        return _check(session, file, given.submit_options(**options))
    key = key or new_key()
    after = [*target.words(), *(["--wait"] if wait else []), "--idempotency-key", key]
    job = _send(session, file, given.submit_options(**options, idempotency_key=key), after)
    if not (wait or target.output):
        session.terminal.answer(job.document, job.id)
        return exit_code(job)
    session.terminal.note(f"{job.id} {job.state}.")
    return follow(session, job, target)


def _source(file: str) -> Source:
    return sys.stdin.buffer if file == "-" else file


def _send(session: Session, file: str, options: SubmitOptions, after: Sequence[str]) -> Job:
    again = session.command("submit", file, *given.words_of(options), *after)
    what = "The upload was not finished; sent again like this it makes one job."
    with session.resumable(again, what), session.terminal.uploading() as progress:
        shown: SubmitOptions = {**options, "progress": progress}
        return session.client.submit(_source(file), **shown)


def _check(session: Session, file: str, options: SubmitOptions) -> int:
    """Return what a job of these rows would say of them; 1 when it could not use some."""
    with session.terminal.uploading() as progress:
        shown: SubmitOptions = {**options, "progress": progress}
        report = session.client.check(_source(file), **shown)
    session.terminal.report(report)
    return OK if report.usable == report.rows else PARTIAL if report.usable else FAILED


@click.command()
@given.job_id
@given.with_target
@connected
def watch(session: Session, job: str, target: Target) -> int:
    """Follow a job to its end, and save its results with -o."""
    found = session.client.status(job)
    session.terminal.note(describe(found))
    return follow(session, found, target)


def follow(session: Session, job: Job, target: Target) -> int:
    """Follow `job` to its end, save its results, tell how it ended, and give the exit code."""
    again = session.command("watch", job.id, *target.words())
    with session.resumable(again, f"The job {job.id} goes on by itself."):
        if not job.finished:
            with session.terminal.running() as show:
                for now in session.client.watch(job.id):
                    show(job := now)
        if target.output:
            save(session, job.id, target)
        elif session.terminal.machine:
            session.terminal.answer(job.document, "")
        session.terminal.outcome(job, session.client.errors(job.id))
    if target.to_file:
        session.terminal.note(f"The results are in {target.output}.")
    return exit_code(job)


def save(session: Session, job: str, target: Target) -> None:
    """Save the results of a finished job."""
    to = session.terminal.output() if not target.to_file else str(target.output)
    session.client.download(job, to, format=target.format, include_input=target.include_input)
