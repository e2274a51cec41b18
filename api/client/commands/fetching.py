"""Read what a finished job came to."""

from dataclasses import replace

import click

from api.client.commands import options as given
from api.client.commands.options import Target
from api.client.commands.submitting import save
from api.client.session import Session, connected, exit_code
from api.client.terminal import as_document


@click.command()
@given.job_id
@given.with_target
@connected
def results(session: Session, job: str, target: Target) -> int:
    """Write the results of a finished job."""
    if session.terminal.machine and not (target.output or target.format):
        target = replace(target, format="ndjson")
    save(session, job, target)
    return exit_code(session.client.status(job))


@click.command()
@given.job_id
@click.option("-o", "--output", metavar="FILE", help="Save them; - is standard output.")
@connected
def errors(session: Session, job: str, output: str | None) -> int:
    """Write the failed rows of a finished job, as a CSV to mend."""
    if session.terminal.machine and not output:
        for row in session.client.errors(job):
            session.terminal.answer(as_document(row), "")
    else:
        to = session.terminal.output() if output in {None, "-"} else str(output)
        session.client.download_errors(job, to)
    return exit_code(session.client.status(job))
