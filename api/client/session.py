"""What every command has in common: where the service is, how it ends, and what to do then."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import click

from api.client.errors import ClientError, NotAllowed, Unreachable
from api.client.http import DEFAULT_URL
from api.client.patience import Patience
from api.client.sync import Client
from api.client.terminal import Terminal
from api.client.values import Job

OK: Final = 0
PARTIAL: Final = 1
FAILED: Final = 2
USAGE: Final = 64
INTERRUPTED: Final = 130

_OUTCOMES: Final = {"succeeded": OK, "partial": PARTIAL}

ADVICE: Final = {
    "api_key_missing": "Set DRYBEANS_API_KEY to your key; who runs the service makes one with: "
    "python -m shared.admin keys create --name …",
    "api_key_wrong": "Look at DRYBEANS_API_KEY: it may be mistyped, revoked or replaced.",
    "job_not_found": "These are your jobs: drybeans list",
    "job_unfinished": "Wait for it with: drybeans watch ID",
    "model_unknown": "These are the models: drybeans models",
    "model_not_found": "These are the models: drybeans models",
    "answer_invalid": "Look at --url or DRYBEANS_URL.",
    "unreachable": "Does the service run, and is the address right? See --url or DRYBEANS_URL.",
    "upload_incomplete": "Send it again.",
}


class Stopped(Exception):
    """Ctrl-C was pressed; the message says how to go on."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command: its client, its terminal, and the URL if one was given to it."""

    client: Client
    terminal: Terminal
    url: str | None

    def command(self, *words: str) -> str:
        """Return the command of these words for the same service, to be pasted into a shell."""
        return shlex.join(["drybeans", *words, *(["--url", self.url] if self.url else [])])

    @contextmanager
    def resumable(self, command: str, what: str) -> Iterator[None]:
        """Return how to go on with `command` when this is stopped, or when the service is gone."""
        try:
            yield
        except KeyboardInterrupt:
            raise Stopped(f"{what} Go on with:\n  {command}") from None
        except Unreachable as error:
            error.add_note(f"{what} Go on with:\n  {command}")
            raise


def exit_code(job: Job) -> int:
    """Return the exit code that tells how a job ended; one that goes on is well so far."""
    return _OUTCOMES.get(job.state, FAILED) if job.finished else OK


def advice_for(error: ClientError) -> str:
    """Return what to do about an error; empty when its own sentence says it."""
    found = ADVICE.get(error.code, ADVICE["api_key_wrong"] if isinstance(error, NotAllowed) else "")
    return "\n".join([*([found] if found else []), *getattr(error, "__notes__", ())])


def connected(command: Callable[..., int]) -> Callable[..., int]:
    """Add the common options to `command`, and call it with a session."""

    @click.option("--url", envvar="DRYBEANS_URL", help=f"The service ({DEFAULT_URL}).")
    @click.option("--api-key", envvar="DRYBEANS_API_KEY", hidden=True)
    @click.option("--json", "machine", is_flag=True, help="Write JSON, for machines.")
    @click.option(
        "--patience", type=click.FloatRange(min=0), default=60.0, show_default=True,
        metavar="SECONDS", help="How long to try again when the service does not answer.",
    )  # fmt: skip
    @click.pass_context
    @wraps(command)
    def call(context: click.Context, /, **options: Any) -> int:  # noqa: ANN401 - click's
        url, api_key = options.pop("url"), options.pop("api_key")
        terminal = Terminal(options.pop("machine"))
        patience = Patience(seconds=options.pop("patience"))
        context.obj.append(terminal)
        given = context.get_parameter_source("url") is click.core.ParameterSource.COMMANDLINE
        with Client(
            url or DEFAULT_URL, api_key=api_key, patience=patience, notice=terminal.note
        ) as client:
            session = Session(client, terminal, url if given else None)
            return command(session, **options)

    return call
