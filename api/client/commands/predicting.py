"""Label a few rows at once."""

import sys
from typing import Any

import click

from api.client.commands import options as given
from api.client.session import FAILED, OK, PARTIAL, Session, connected
from api.client.sources import Source
from api.client.values import Row


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("values", metavar="NUMBERS... | FILE", nargs=-1, required=True)
@given.about_the_job
@connected
def predict(session: Session, values: tuple[str, ...], **options: Any) -> int:
    """Label one row of numbers, or the rows of a small file.

    The file - is standard input. Prints a label for each row, or what is wrong with it.
    """
    rows = session.client.predict(_source(values), **given.submit_options(**options))
    if session.terminal.machine:
        session.terminal.answer([row.document for row in rows], "")
    else:
        for row in rows:
            session.terminal.answer(None, _told(row))
    failed = sum(row.label is None for row in rows)
    return OK if not failed else FAILED if failed == len(rows) else PARTIAL


def _source(values: tuple[str, ...]) -> Source:
    try:
        return [[float(value) for value in values]]
    except ValueError:
        if len(values) == 1:
            return sys.stdin.buffer if values[0] == "-" else values[0]
    wrong = next(value for value in values if not _is_number(value))
    raise click.UsageError(f"{wrong!r} is no number. Write decimals with a point.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _told(row: Row) -> str:
    if row.error is not None:
        column = f"{row.error.field}: " if row.error.field else ""
        return f"- {column}{row.error.detail} ({row.error.code})"
    chances = sorted((row.probabilities or {}).items(), key=lambda pair: -pair[1])
    return "\t".join([str(row.label), *(f"{name}={chance:.4f}" for name, chance in chances)])
