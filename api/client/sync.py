"""The client for ordinary code: it waits for each answer."""

import time
from collections.abc import Iterator
from contextlib import closing
from os import PathLike
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar, Unpack

import httpx
from httpx_sse import EventSource

from api.client import calls, scripts, streams
from api.client.effects import (
    Answer,
    Close,
    Done,
    Effect,
    Emit,
    Next,
    Notice,
    Open,
    Pause,
    Request,
    Script,
    Send,
    advance,
)
from api.client.http import (
    DEFAULT_URL,
    as_answer,
    as_broken,
    log_notice,
    settle_client,
    settle_headers,
)
from api.client.patience import Patience
from api.client.saving import format_of, results_request, saving
from api.client.sources import Source
from api.client.values import FailedRow, Job, Model, Report, Row

T = TypeVar("T")


class _Wire:
    """Carries out what a script asks for, with at most one stream open."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._response: httpx.Response | None = None
        self._stream: Iterator[Any] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def perform(self, effect: Effect) -> object:
        """Return the effect's outcome: what the script gets, or `Broken` for it to be raised."""
        try:
            return self._perform(effect)
        except httpx.RequestError as error:
            self.close()
            return as_broken(error)

    def _perform(self, effect: Effect) -> object:
        match effect:
            case Send(request):
                return as_answer(self._http.send(self._build(request)))
            case Open(request, events):
                return self._open(request, events=events)
            case Next():
                return next(self._stream, None)
            case Close():
                self.close()
            case Pause(seconds):
                time.sleep(seconds)
            case Emit():
                pass
        return None

    def _open(self, request: Request, *, events: bool) -> Answer:
        self.close()
        response = self._response = self._http.send(self._build(request), stream=True)
        if response.is_error:
            response.read()
            return as_answer(response)
        self._stream = EventSource(response).iter_sse() if events else response.iter_bytes()
        return as_answer(response, whole=False)

    def _build(self, request: Request) -> httpx.Request:
        body = request.body
        return self._http.build_request(
            request.method,
            request.path.lstrip("/"),
            params=request.params or None,
            headers=settle_headers(request),
            content=None if body is None else body.read(),
            timeout=httpx.Timeout(request.read_seconds, connect=10.0),
        )


class Client:
    """Speaks with the service at `url`, in the name of `api_key`.

    It tries again what may succeed later, as `patience` says, and tells `notice` of it. Errors are
    `ClientError`s. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        patience: Patience | None = None,
        notice: Notice = log_notice,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Connect at first use. Raises `InputInvalid` for what is no address of a service."""
        self._ask, options = settle_client(url, api_key, patience, notice)
        self._http = httpx.Client(transport=transport, **options)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _run(self, script: Script[T]) -> T:
        with _Wire(self._http) as wire:
            step = advance(script, None)
            while not isinstance(step, Done):
                step = advance(script, wire.perform(step))
            return step.value

    def _iterate(self, script: Script[Any]) -> Iterator[Any]:
        with closing(script), _Wire(self._http) as wire:
            step = advance(script, None)
            while not isinstance(step, Done):
                if isinstance(step, Emit):
                    yield step.value
                step = advance(script, wire.perform(step))

    def submit(self, source: Source, **options: Unpack[calls.SubmitOptions]) -> Job:
        """Submit a file, a stream or rows, and give the job; it makes one, however often sent."""
        return self._run(scripts.submit(self._ask, source, options))

    def check(self, source: Source, **options: Unpack[calls.SubmitOptions]) -> Report:
        """Learn what is wrong with the rows of a file, a stream or a list; it makes no job."""
        return self._run(scripts.check(self._ask, source, options))

    def predict(self, source: Source, **options: Unpack[calls.SubmitOptions]) -> list[Row]:
        """Submit a few rows, wait, and give each row with its label or its error."""
        return self._run(scripts.predict(self._ask, source, options))

    def status(self, job: str) -> Job:
        """Look at a job."""
        return self._run(scripts.status(self._ask, job))

    def wait(self, job: str, *, within: float | None = None) -> Job:
        """Wait until a job has finished. Raises `WaitTimedOut` after `within` seconds."""
        return self._run(scripts.wait(self._ask, job, within))

    def watch(self, job: str) -> Iterator[Job]:
        """Return a job as it is now and at each change until it has finished."""
        return self._iterate(streams.watch(self._ask, job))

    def results(self, job: str, *, include_input: bool = False) -> Iterator[Row]:
        """Return the rows of a finished job in their order."""
        return self._iterate(streams.results(self._ask, job, include_input=include_input))

    def errors(self, job: str) -> Iterator[FailedRow]:
        """Return the rows of a finished job that have no label."""
        return self._iterate(streams.errors(self._ask, job))

    def download(
        self,
        job: str,
        target: str | PathLike[str] | BinaryIO,
        *,
        format: calls.Format | None = None,  # noqa: A002 - what everyone calls it
        include_input: bool = False,
    ) -> None:
        """Save the results of a finished job; the format follows from the target's name."""
        kind = format_of(target, format)
        with saving(target) as sink:
            request, to = results_request(job, kind, sink, include_input=include_input)
            self._run(streams.download(self._ask, request, to))

    def download_errors(self, job: str, target: str | PathLike[str] | BinaryIO) -> None:
        """Save the failed rows of a finished job as a CSV, to be mended and submitted again."""
        with saving(target) as sink:
            self._run(streams.download(self._ask, calls.errors(job), sink))

    def cancel(self, job: str) -> Job:
        """Cancel a job; chunks that have finished keep their results."""
        return self._run(scripts.cancel(self._ask, job))

    def retry(self, job: str) -> Job:
        """Run again what a finished job did not run: as a new job, which is given."""
        return self._run(scripts.retry(self._ask, job))

    def delete(self, job: str) -> None:
        """Erase a finished job with all its rows."""
        self._run(scripts.delete(self._ask, job))

    def jobs(self, **wanted: Unpack[calls.Filter]) -> Iterator[Job]:
        """Return the jobs that are wanted, newest first, page after page."""
        return self._iterate(scripts.jobs(self._ask, wanted))

    def models(self) -> list[Model]:
        """List the models."""
        return self._run(scripts.models(self._ask))

    def model(self, name: str) -> Model:
        """Read all about a model, such as "drybeans", or a version, such as "drybeans@1"."""
        return self._run(scripts.model(self._ask, name))
