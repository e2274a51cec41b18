"""The spans of a trace, as the parts make them; who keeps none passes on what a client gave.

A place in a trace travels as the text that W3C calls `traceparent`: from the request through Redis
to the worker, and from each span to those below it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from shared.settings import Settings

Kind = Literal["server", "internal", "producer", "consumer"]
Facts = Mapping[str, str | int]

# An id of zeros is no id, and ff no version; versions after the first may add to what they know.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?"
)


class Span(Protocol):
    """One thing that took time, in a trace."""

    @property
    def traceparent(self) -> str:
        """Its place, for what is done below it; empty where there is no trace."""

    def note(self, facts: Facts) -> None:
        """Add `facts` to what is told of it."""

    def link(self, traceparent: str) -> None:
        """Say that it has to do with the span at `traceparent`, in whatever trace."""

    def end(self, failure: str = "") -> None:
        """End it, with the kind of `failure` if there was one."""


class Traces(Protocol):
    """Where spans go."""

    def begin(self, name: str, kind: Kind, parent: str, since: int | None = None) -> Span:
        """Begin a span below `parent`, or a trace; it began at `since` (ns since 1970) or now."""

    def close(self) -> None:
        """Hand over what is kept, within a second or not at all."""


class _Unkept:
    """Stands where a span would be."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def note(self, facts: Facts) -> None:
        """Forget them."""

    def link(self, traceparent: str) -> None:
        """Forget it."""

    def end(self, failure: str = "") -> None:
        """Do nothing."""


class NoTraces:
    """Keeps nothing: what is done below a span is below its parent."""

    def begin(self, name: str, kind: Kind, parent: str, since: int | None = None) -> Span:
        """Return what only knows its parent."""
        del name, kind, since
        return _Unkept(parent)

    def close(self) -> None:
        """Do nothing."""


def open_traces(settings: "Settings", part: str) -> Traces:
    """Have `part` keep traces if the settings ask for it: in the process that does the work.

    A thread sends them, and threads do not survive a fork.
    """
    if not settings.traces:
        return NoTraces()
    from shared.observability.otlp import open_telemetry  # noqa: PLC0415 - 10 MB and 0.2 s that few need

    return open_telemetry(part)


def prepare_traces(settings: "Settings") -> None:
    """Import what traces need, for all processes that will be forked."""
    if settings.traces:
        import shared.observability.otlp  # noqa: F401, PLC0415 - as above


@contextmanager
def below(
    traces: Traces, parent: str, name: str, kind: Kind = "internal", facts: Facts | None = None
) -> Iterator[Span]:
    """Make a span of what is done inside, with `facts`; an error that leaves it is told by name."""
    span = traces.begin(name, kind, parent)
    span.note(facts or {})
    with ending(span.end):
        yield span


@contextmanager
def ending(end: Callable[[str], None]) -> Iterator[None]:
    """Call `end` after what is done inside, with the name of an error that leaves it, or ""."""
    try:
        yield
    except BaseException as error:
        end(type(error).__name__)
        raise
    end("")


def read_traceparent(text: str) -> str:
    """Return a client's `traceparent`, rewritten as version 00, or an empty string."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or (found[1] == "00" and found[3]):
        return ""
    return f"00-{found[2]}"


def is_sampled(traceparent: str) -> bool:
    """Return whether the trace is kept: whoever began it has decided that."""
    return bool(traceparent) and bool(int(traceparent[-2:], 16) & 1)
