"""What a script of the client asks for, and what it is given: requests, answers, pauses.

A script (see `scripts.py`) decides; `sync.py` and `aio.py` only carry out what it asks for.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class Body(Protocol):
    """A body that can be sent as often as it takes."""

    @property
    def size(self) -> int | None:
        """Its length in bytes, None when nobody knows."""
        ...

    def read(self) -> Iterator[bytes]:
        """Return it from its beginning, in pieces. Raises `InputInvalid`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request; one that is not `repeatable` is sent again only if it was not received."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    repeatable: bool = True
    read_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; the names of `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Broken(Exception):
    """There was no answer, or not all of it.

    `received` says whether the service may have got the request; one that is `final` breaks again
    however often it is sent.
    """

    def __init__(self, reason: str, *, received: bool = True, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.received = received
        self.final = final


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request and give the whole `ResponseSpec`; raise `Broken` in the script."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """As `WebhookClient`, but leave the body of an answer that is no error to `Next`.

    With `events` it is a stream of server-sent events.
    """

    request: Request
    events: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """Return the next bytes or event of what was opened, None at its end; raise `Broken`."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close what was opened."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Return the caller a value and go on."""

    value: Any


Effect: TypeAlias = Send | Open | Next | Close | Pause | Emit
Script: TypeAlias = Generator[Effect, Any, T]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The script has ended with `value`."""

    value: T


def advance(script: Script[T], outcome: object) -> Effect | Done[T]:
    """Send `script` the outcome of its last effect (None to begin) and return its next effect."""
    try:
        if isinstance(outcome, Broken):
            return script.throw(outcome)
        return script.send(outcome)
    except StopIteration as stop:
        return Done(stop.value)


Notice: TypeAlias = Callable[[str], None]
"""Told in a sentence when something must be tried again."""
