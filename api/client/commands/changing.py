"""Stop a job, run it again, erase it."""

import click

from api.client.commands import options as given
from api.client.session import OK, Session, connected
from api.client.terminal import describe


@click.command()
@given.job_id
@connected
def cancel(session: Session, job: str) -> int:
    """Stop a job; the rows that have a label keep it."""
    canceled = session.client.cancel(job)
    session.terminal.answer(canceled.document, describe(canceled))
    return OK


@click.command()
@given.job_id
@connected
def retry(session: Session, job: str) -> int:
    """Run again what a finished job did not run, as a new job.

    Prints its id.
    """
    again = session.client.retry(job)
    session.terminal.answer(again.document, again.id)
    return OK


@click.command()
@given.job_id
@connected
def delete(session: Session, job: str) -> int:
    """Erase a finished job with all its rows."""
    session.client.delete(job)
    session.terminal.answer({"id": job, "deleted": True}, f"{job} is erased.")
    return OK
