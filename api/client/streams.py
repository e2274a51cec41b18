"""Answers that come bit by bit: rows, whole files, and the news of a job."""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from api.client import calls
from api.client.effects import Broken, Close, Emit, Next, Open, Pause, Request, Script
from api.client.errors import Refused
from api.client.exchanges import Exchanges
from api.client.patience import Spent
from api.client.reading import FailedRows, job_of, read_document, row_of
from api.client.values import Job

_FIRST_FAULT_OF_THE_SERVICE: Final = 500
_SILENT_STREAMS: Final = 3
"""So many event streams that say nothing new, and the job is polled: a proxy may hold them back."""


class Lines:
    """Cuts pieces of bytes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, piece: bytes) -> list[bytes]:
        """Return the lines that `piece` completes, without their ends."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return lines


class Sink(Protocol):
    """Where a download goes. It may begin anew, when the connection broke."""

    def begin(self) -> None:
        """Forget what was written."""
        ...

    def write(self, piece: bytes, /) -> None:
        """Take the next bytes."""
        ...

    def end(self) -> None:
        """Know that this was all."""
        ...


class JsonSink:
    """Writes lines of JSON as one JSON array to another sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lines, self._before = Lines(), b"[\n"

    def begin(self) -> None:
        """Forget what was written."""
        self._lines, self._before = Lines(), b"[\n"
        self._sink.begin()

    def write(self, piece: bytes, /) -> None:
        """Take the next bytes."""
        if lines := self._lines.add(piece):
            self._sink.write(self._before + b",\n".join(lines))
            self._before = b",\n"

    def end(self) -> None:
        """Close the array."""
        self._sink.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")
        self._sink.end()


def results(ask: Exchanges, job: str, *, include_input: bool) -> Script[None]:
    """Emit the rows of a finished job in their order."""
    request = calls.results(job, "ndjson", include_input=include_input)
    yield from emit_lines(ask, request, lambda line: read_document(line, row_of))


def errors(ask: Exchanges, job: str) -> Script[None]:
    """Emit the failed rows of a finished job."""
    yield from emit_lines(ask, calls.errors(job), FailedRows())


def emit_lines(ask: Exchanges, request: Request, read: Callable[[bytes], object]) -> Script[None]:
    """Emit what `read` makes of each line of the answer, but None.

    When the connection breaks it is read again, and lines that were there before are passed over.
    """
    done, tries, began = 0, 0, 0.0
    while True:
        yield from ask(request, Open)
        lines, seen, before = Lines(), 0, done
        try:
            while (piece := (yield Next())) is not None:
                for line in lines.add(piece):
                    seen += 1
                    if seen > done:
                        done = seen
                        value = read(line)
                        if value is not None:
                            yield Emit(value)
        except Broken as broken:
            tries = 1 if done > before else tries + 1
            began = ask.clock() if tries == 1 else began
            spent = Spent(tries=tries, seconds=ask.clock() - began)
            yield from ask.bear(broken, spent, repeatable=True)
        else:
            return


def download(ask: Exchanges, request: Request, sink: Sink) -> Script[None]:
    """Write the whole answer to `sink`, from its beginning when the connection breaks."""
    tries, began = 0, 0.0
    while True:
        yield from ask(request, Open)
        sink.begin()
        try:
            while (piece := (yield Next())) is not None:
                sink.write(piece)
        except Broken as broken:
            tries += 1
            began = began if tries > 1 else ask.clock()
            spent = Spent(tries=tries, seconds=ask.clock() - began)
            yield from ask.bear(broken, spent, repeatable=True)
        else:
            sink.end()
            return


def watch(ask: Exchanges, job: str) -> Script[Job]:
    """Emit a job as it is now and at each change, and give it when it has finished.

    It comes as an event stream, which is opened again when it breaks; where none comes through
    the job is polled.
    """
    shown: Job | None = None
    silent = 0
    while True:
        if silent < _SILENT_STREAMS:
            heard = yield from _follow(ask, job, shown)
            silent = silent + 1 if heard == shown else 0
            shown = heard
        if shown is not None and shown.finished:
            return shown
        wait = calls.WAIT_SECONDS if silent == _SILENT_STREAMS else None
        answer = yield from ask(calls.look(job, wait))
        found = read_document(answer.body, job_of)
        if found != shown:
            yield Emit(found)
        shown = found
        if found.finished:
            return found
        yield Pause(ask.patience.first)


def _follow(ask: Exchanges, job: str, shown: Job | None) -> Script[Job | None]:
    """Emit what one event stream tells, and give the last of it."""
    try:
        answer = yield from ask(calls.events(job), partial(Open, events=True))
        while "event-stream" in answer.headers.get("content-type", ""):
            event = yield Next()
            if event is None or event.event != "job":
                # Its end, or an error, which asking for the job will tell.
                break
            found = read_document(event.data.encode(), job_of)
            if found != shown:
                shown = found
                yield Emit(found)
    except Broken as broken:
        ask.notice(f"{broken.reason}; connecting again.")
    except Refused as refused:
        if refused.status < _FIRST_FAULT_OF_THE_SERVICE:
            raise
        ask.notice(f"{refused.detail.rstrip('.')}; asking for the job instead.")
    yield Close()
    return shown
