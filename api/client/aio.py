"""The client for asyncio: everything else goes on while it waits."""

import asyncio
from collections.abc import AsyncIterator, Iterator
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

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._response: httpx.Response | None = None
        self._stream: AsyncIterator[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()
            self._response = None

    async def perform(self, effect: Effect) -> object:
        """Return the effect's outcome: what the script gets, or `Broken` for it to be raised."""
        try:
            return await self._perform(effect)
        except httpx.RequestError as error:
            await self.close()
            return as_broken(error)

    async def _perform(self, effect: Effect) -> object:
        match effect:
            case Send(request):
                return as_answer(await self._http.send(self._build(request)))
            case Open(request, events):
                return await self._open(request, events=events)
            case Next():
                return await anext(self._stream, None) if self._stream else None
            case Close():
                await self.close()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Emit():
                pass
        return None

    async def _open(self, request: Request, *, events: bool) -> Answer:
        await self.close()
        response = self._response = await self._http.send(self._build(request), stream=True)
        if response.is_error:
            await response.aread()
            return as_answer(response)
        self._stream = EventSource(response).aiter_sse() if events else response.aiter_bytes()
        return as_answer(response, whole=False)

    def _build(self, request: Request) -> httpx.Request:
        body = request.body
        return self._http.build_request(
            request.method,
            request.path.lstrip("/"),
            params=request.params or None,
            headers=settle_headers(request),
            content=None if body is None else _in_threads(body.read()),
            timeout=httpx.Timeout(request.read_seconds, connect=10.0),
        )


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Return `pieces`, each read in a thread: a disk or a pipe may be slow."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


class AsyncClient:
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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect at first use. Raises `InputInvalid` for what is no address of a service."""
        self._ask, options = settle_client(url, api_key, patience, notice)
        self._http = httpx.AsyncClient(transport=transport, **options)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _run(self, script: Script[T]) -> T:
        async with _Wire(self._http) as wire:
            step = advance(script, None)
            while not isinstance(step, Done):
                step = advance(script, await wire.perform(step))
            return step.value

    async def _iterate(self, script: Script[Any]) -> AsyncIterator[Any]:
        with closing(script):
            async with _Wire(self._http) as wire:
                step = advance(script, None)
                while not isinstance(step, Done):
                    if isinstance(step, Emit):
                        yield step.value
                    step = advance(script, await wire.perform(step))

    async def submit(self, source: Source, **options: Unpack[calls.SubmitOptions]) -> Job:
        """Submit a file, a stream or rows, and give the job; it makes one, however often sent."""
        return await self._run(scripts.submit(self._ask, source, options))

    async def check(self, source: Source, **options: Unpack[calls.SubmitOptions]) -> Report:
        """Learn what is wrong with the rows of a file, a stream or a list; it makes no job."""
        return await self._run(scripts.check(self._ask, source, options))

    async def predict(self, source: Source, **options: Unpack[calls.SubmitOptions]) -> list[Row]:
        """Submit a few rows, wait, and give each row with its label or its error."""
        return await self._run(scripts.predict(self._ask, source, options))

    async def status(self, job: str) -> Job:
        """Look at a job."""
        return await self._run(scripts.status(self._ask, job))

    async def wait(self, job: str, *, within: float | None = None) -> Job:
        """Wait until a job has finished. Raises `WaitTimedOut` after `within` seconds."""
        return await self._run(scripts.wait(self._ask, job, within))

    def watch(self, job: str) -> AsyncIterator[Job]:
        """Return a job as it is now and at each change until it has finished."""
        return self._iterate(streams.watch(self._ask, job))

    def results(self, job: str, *, include_input: bool = False) -> AsyncIterator[Row]:
        """Return the rows of a finished job in their order."""
        return self._iterate(streams.results(self._ask, job, include_input=include_input))

    def errors(self, job: str) -> AsyncIterator[FailedRow]:
        """Return the rows of a finished job that have no label."""
        return self._iterate(streams.errors(self._ask, job))

    async def download(
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
            await self._run(streams.download(self._ask, request, to))

    async def download_errors(self, job: str, target: str | PathLike[str] | BinaryIO) -> None:
        """Save the failed rows of a finished job as a CSV, to be mended and submitted again."""
        with saving(target) as sink:
            await self._run(streams.download(self._ask, calls.errors(job), sink))

    async def cancel(self, job: str) -> Job:
        """Cancel a job; chunks that have finished keep their results."""
        return await self._run(scripts.cancel(self._ask, job))

    async def retry(self, job: str) -> Job:
        """Run again what a finished job did not run: as a new job, which is given."""
        return await self._run(scripts.retry(self._ask, job))

    async def delete(self, job: str) -> None:
        """Erase a finished job with all its rows."""
        await self._run(scripts.delete(self._ask, job))

    def jobs(self, **wanted: Unpack[calls.Filter]) -> AsyncIterator[Job]:
        """Return the jobs that are wanted, newest first, page after page."""
        return self._iterate(scripts.jobs(self._ask, wanted))

    async def models(self) -> list[Model]:
        """List the models."""
        return await self._run(scripts.models(self._ask))

    async def model(self, name: str) -> Model:
        """Read all about a model, such as "drybeans", or a version, such as "drybeans@1"."""
        return await self._run(scripts.model(self._ask, name))
