"""What a service answers, for tests of the client without one."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from api.client import Client, Patience

QUICK = Patience(seconds=5.0, tries=3, first=0.0)


class Answers:
    """Answers requests in turn, or raises; `requests` keeps them, with their bodies read."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def torn(*pieces: bytes) -> httpx.Response:
    """Answer with `pieces` and then break the connection."""
    return httpx.Response(200, stream=_Torn(pieces))


def news(*jobs: dict[str, Any], breaks: bool = False) -> httpx.Response:
    """Tell of `jobs` as server-sent events; without `breaks` the end follows."""
    events = [f"event: job\ndata: {json.dumps(job)}\n\n".encode() for job in jobs]
    headers = {"Content-Type": "text/event-stream"}
    if breaks:
        return httpx.Response(200, headers=headers, stream=_Torn(events))
    events.append(b"event: end\ndata: {}\n\n")
    return httpx.Response(200, headers=headers, content=b"".join(events))


class _Torn(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, pieces: tuple[bytes, ...] | list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        message = "peer closed connection"
        raise httpx.RemoteProtocolError(message)

    async def __aiter__(self) -> Any:
        for piece in self:
            yield piece


def a_job(*, state: str = "queued") -> dict[str, Any]:
    """Make the document of a job."""
    return {
        "id": "01a20ba7-8ee8-730e-a694-be547a8145fc",
        "state": state,
        "model": {"name": "drybeans", "version": 2},
        "rows": {"total": 1, "succeeded": 0, "failed": 0},
        "progress": 0.0,
        "created_at": "2026-01-31T12:00:00Z",
    }


def a_row(at: int) -> dict[str, Any]:
    """Make the document of a row of results."""
    return {"row": at, "label": "SIRA"}


def a_client(answers: Answers, **options: Any) -> Client:
    """Make a client whose requests are answered by `answers`, and that never pauses for long."""
    transport = httpx.MockTransport(answers)
    return Client("http://beans", transport=transport, **({"patience": QUICK} | options))
