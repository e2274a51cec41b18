"""Options that several commands have, and how their texts are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from api.client.calls import Format, SubmitOptions
from api.client.errors import InputInvalid

F = TypeVar("F", bound=Callable[..., Any])

FORMATS: Final = ("csv", "ndjson", "json")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

job_id = click.argument("job", metavar="ID")


class Pair(click.ParamType[tuple[str, str]]):
    """A label of a job: NAME=VALUE."""

    name = "NAME=VALUE"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Read it."""
        name, equals, text = str(value).partition("=")
        if not (name and equals and text):
            self.fail(f"{value!r} is no NAME=VALUE.", param, ctx)
        return name, text


class Duration(click.ParamType[timedelta]):
    """A time such as 90s, 30m, 12h or 7d; a number alone is seconds."""

    name = "TIME"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """Read it."""
        text = str(value)
        number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
        if not (number.isascii() and number.isdigit()):
            self.fail(f"{value!r} is no time such as 90s, 30m, 12h or 7d.", param, ctx)
        return timedelta(seconds=int(number[:9]) * _UNITS[unit])


@dataclass(frozen=True, slots=True)
class Target:
    """Where the results go once the job has finished."""

    output: str | None
    format: Format | None
    include_input: bool

    def __post_init__(self) -> None:
        """Find out now, not after the job, that they cannot be written."""
        if self.to_file and not Path(str(self.output)).absolute().parent.is_dir():
            raise InputInvalid(f"{self.output} cannot be written: there is no such folder.")

    @property
    def to_file(self) -> bool:
        """Return whether they go into a file of this name."""
        return self.output not in {None, "-"}

    def words(self) -> list[str]:
        """Return the options that say the same."""
        words = ["-o", self.output] if self.output else []
        words += ["--format", self.format] if self.format else []
        return words + (["--include-input"] if self.include_input else [])


def with_target(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say where the results go, and hand them over as `target`."""

    @click.option(
        "-o",
        "--output",
        metavar="FILE",
        help="Save the results, as .csv, .ndjson or .json; - is standard output.",
    )
    @click.option("--format", "form", type=click.Choice(FORMATS), help="Whatever the file's name.")
    @click.option("--include-input", is_flag=True, help="Add the features to the results.")
    @wraps(command)
    def call(*words: Any, output: str | None, form: Any, include_input: Any, **rest: Any) -> int:
        return command(*words, target=Target(output, form, include_input), **rest)

    return call


def about_the_job(command: F) -> F:
    """Add the options that say what a job is like."""
    for option in reversed(
        [
            click.option("--model", help='Such as "drybeans", or a version: "drybeans@1".'),
            click.option("--outputs", metavar="LIST", help='"label", or "label,probabilities".'),
            click.option("--probabilities", is_flag=True, help="As --outputs label,probabilities."),
        ]
    ):
        command = option(command)
    return command


def about_the_rows(command: F) -> F:
    """Add the options that say what becomes of bad rows, and how the job is kept."""
    for option in reversed(
        [
            click.option("--label", "labels", type=Pair(), multiple=True, help="Name the job."),
            click.option(
                "--on-error", type=click.Choice(["continue", "abort"]),
                help="After a bad row: go on (as is usual), or fail the job.",
            ),
            click.option("--max-errors", type=click.IntRange(min=0), help="Fail it after more."),
            click.option("--retention", type=Duration(), help="Erase it so long after its end."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def submit_options(
    *, outputs: str | None, probabilities: bool, labels: Sequence[tuple[str, str]] = (), **rest: Any
) -> SubmitOptions:
    """Put together what was asked for; what was left out stays out."""
    options: dict[str, Any] = {name: value for name, value in rest.items() if value is not None}
    if probabilities or outputs:
        named = [word.strip() for word in (outputs or "label").split(",")]
        options["outputs"] = list(dict.fromkeys(named + ["probabilities"] * probabilities))
    if labels:
        options["labels"] = dict(labels)
    return options  # type: ignore[return-value]


def words_of(options: SubmitOptions) -> list[str]:
    """Return the words that ask for the same options."""
    words = ["--model", options["model"]] if "model" in options else []
    words += ["--on-error", options["on_error"]] if "on_error" in options else []
    words += ["--max-errors", str(options["max_errors"])] if "max_errors" in options else []
    words += ["--outputs", ",".join(options["outputs"])] if "outputs" in options else []
    for name, value in options.get("labels", {}).items():
        words += ["--label", f"{name}={value}"]
    if "retention" in options:
        words += ["--retention", f"{options['retention'].total_seconds():.0f}s"]
    return words
