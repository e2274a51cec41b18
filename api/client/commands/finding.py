"""Look at jobs and models."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from api.client.commands import options as given
from api.client.commands.options import Duration, Pair
from api.client.session import OK, Session, connected, exit_code
from api.client.terminal import describe
from api.client.values import Model


@click.command()
@given.job_id
@connected
def status(session: Session, job: str) -> int:
    """Return how a job stands."""
    found = session.client.status(job)
    session.terminal.answer(found.document, describe(found))
    return exit_code(found)


@click.command("list")
@click.option("--state", help="Only jobs in this state.")
@click.option("--model", help="Only jobs for this model, or this version of it.")
@click.option("--label", "labels", type=Pair(), multiple=True, help="Only jobs with this label.")
@click.option("--since", type=Duration(), help="Only jobs submitted in this time: 30m, 12h, 7d.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@connected
def list_(session: Session, limit: int, **wanted: Any) -> int:
    """List jobs, newest first."""
    labels, since = dict(wanted.pop("labels")), wanted.pop("since")
    wanted = {name: value for name, value in wanted.items() if value is not None}
    wanted |= {"labels": labels} if labels else {}
    wanted |= {"created_after": (datetime.now(UTC) - since).isoformat()} if since else {}
    found = list(islice(session.client.jobs(**wanted), limit))
    if session.terminal.machine:
        session.terminal.answer([job.document for job in found], "")
        return OK
    session.terminal.table(
        ("id", "state", "rows", "succeeded", "failed", "model", "submitted", "labels"),
        (
            (
                job.id, job.state, f"{job.rows.total:,}", f"{job.rows.succeeded:,}",
                f"{job.rows.failed:,}", job.model, f"{job.created_at:%Y-%m-%d %H:%M}",
                " ".join(f"{name}={value}" for name, value in job.labels.items()),
            )
            for job in found
        ),
    )  # fmt: skip
    return OK


@click.command()
@click.argument("name", required=False)
@connected
def models(session: Session, name: str | None) -> int:
    """List the models, or show all about one.

    That is its columns, and how good it is.
    """
    if name is not None:
        _show(session, session.client.model(name))
        return OK
    found = session.client.models()
    if session.terminal.machine:
        session.terminal.answer([model.document for model in found], "")
        return OK
    session.terminal.table(
        ("model", "default", "classes", "description"),
        (
            (
                f"{model.name}@{model.version}", "yes" if model.default else "",
                len(model.classes), model.description,
            )
            for model in found
        ),
    )  # fmt: skip
    return OK


def _show(session: Session, model: Model) -> None:
    if session.terminal.machine:
        session.terminal.answer(model.document, "")
        return
    numbers = {k: v for k, v in model.metrics.items() if isinstance(v, int | float)}
    lines = [f"{model.name}@{model.version}: {model.description}"]
    lines += [f"classes: {', '.join(model.classes)}"]
    lines += [f"{name}: {value:g}" for name, value in numbers.items()]
    session.terminal.answer(None, "\n".join(lines))
    session.terminal.table(
        ("column", "unit", "from", "to", "also"),
        (
            (f["name"], f["unit"] or "", f["minimum"], f["maximum"], ", ".join(f["aliases"]))
            for f in model.features
        ),
    )
