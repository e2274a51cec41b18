"""What every command of the operator's has: settings, a database, words and JSON."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeAlias, TypeVar

from shared.broker.client import MAX_QUEUE_LENGTH, MessageQueue
from shared.broker.heartbeats import HeartbeatStore
from shared.db.engine import Database, open_database
from shared.settings import Settings

Word = TypeVar("Word", bound=StrEnum)

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command came to: `text` for people, `document` for machines, and the exit code."""

    text: str
    document: Any
    code: int = 0


@dataclass(frozen=True)
class Stage:
    """The settings, and what they name; both connect at first use."""

    settings: Settings

    @cached_property
    def database(self) -> Database:
        """The database; statements of an operator may take their time."""
        url = self.settings.database_url.get_secret_value()
        return open_database(url, connections=1, answer_seconds=_PATIENCE)

    @cached_property
    def queue(self) -> MessageQueue:
        """Redis; old work may enter a queue that new work keeps full."""
        return MessageQueue(
            self.settings.redis_url.get_secret_value(),
            self.settings.message_limits,
            pause=0.0,
            full=2 * MAX_QUEUE_LENGTH,
        )

    @cached_property
    def heartbeats(self) -> HeartbeatStore:
        """The last report of each process."""
        return HeartbeatStore(self.settings.redis_url.get_secret_value())


Action: TypeAlias = Callable[[Stage, argparse.Namespace], Output]


@dataclass(frozen=True, slots=True)
class Group:
    """Adds commands to `commands`; all of them take --json."""

    commands: Any  # argparse keeps its type to itself
    common: argparse.ArgumentParser = field(
        default_factory=lambda: argparse.ArgumentParser(add_help=False)
    )

    def __post_init__(self) -> None:
        """Make the options that all have."""
        self.common.add_argument("--json", action="store_true", help="write JSON, for machines")

    def add(self, name: str, action: Action, told: str) -> argparse.ArgumentParser:
        """Add the command `name`, which runs `action`."""
        parser: argparse.ArgumentParser = self.commands.add_parser(
            name, help=told, description=told, parents=[self.common]
        )
        parser.set_defaults(action=action)
        return parser

    def group(self, name: str, told: str) -> "Group":
        """Add a group of commands."""
        parser: argparse.ArgumentParser = self.commands.add_parser(
            name, help=told, description=told
        )
        return Group(parser.add_subparsers(required=True, metavar="ACTION"))


def duration(text: str) -> timedelta:
    """Read a time such as 90s, 30m, 12h or 7d; a number alone is seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit()):
        message = f"{text!r} is no time such as 90s, 30m, 12h or 7d"
        raise argparse.ArgumentTypeError(message)
    return timedelta(seconds=int(number[:9]) * _UNITS[unit])


def one_of(words: Iterable[Word]) -> Callable[[str], Word]:
    """Return a function that parses one of `words`, and names all of them for any other text."""
    known = {str(word): word for word in words}

    def parse(text: str) -> Word:
        if text not in known:
            message = f"{text!r} is not one of {', '.join(known)}"
            raise argparse.ArgumentTypeError(message)
        return known[text]

    return parse


def count(text: str) -> int:
    """Read a number of rows to list, 1 to 1000."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1000):  # noqa: PLR2004 - told below
        message = f"{text!r} is no number from 1 to 1000"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def format_error(span: timedelta) -> str:
    """Write a time in its two largest units."""
    seconds = round(span.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            smaller = {"d": ("h", 3600), "h": ("m", 60), "m": ("s", 1)}[unit]
            return f"{seconds // size}{unit} {seconds % size // smaller[1]}{smaller[0]}"
    return f"{seconds}s"


def age(moment: datetime | None, now: datetime) -> str:
    """Write how long before `now` `moment` was."""
    return "-" if moment is None else format_error(max(now - moment, timedelta(0)))


def day(moment: datetime | None) -> str:
    """Write a moment to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


def stamp(moment: datetime | None) -> str | None:
    """Write a moment for machines."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table, its columns as wide as they must be."""
    cells = [tuple(titles), *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(titles))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
