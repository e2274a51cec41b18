"""Limit the memory of responses that clients read slowly.

A response of more than one piece stays in this process until its client has read it. The number of
such responses is limited; beyond the limit clients get 503 and retry later.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from threading import Lock
from typing import Final

from flask import Response

from shared.domain.errors import TooManyStreams
from shared.malloc import return_freed_memory

PIECE: Final = 1 << 16
"""The approximate size of a piece in bytes; responses up to this size are not limited."""


# Freed memory is returned to the system when more than 1/4 of the limit had been in use.
_MANY: Final = 4


class StreamLimit:
    """Limit the number of concurrent large responses of one kind."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` concurrent responses."""
        self._limit = limit
        self._open = 0
        self._peak = 0
        self._lock = Lock()

    def hold(self, response: Response) -> Response:
        """Count `response` as open until it is closed. Raise `TooManyStreams` at the limit."""
        with self._lock:
            if self._open == self._limit:
                raise TooManyStreams
            self._open += 1
            self._peak = max(self._peak, self._open)
        stack = ExitStack()
        stack.callback(self._release)
        # A response may be closed twice but is released once.
        response.call_on_close(stack.close)
        return response

    def _release(self) -> None:
        with self._lock:
            self._open -= 1
            idle = self._open == 0 and self._peak > self._limit // _MANY
            if idle:
                self._peak = 0
        if idle:
            return_freed_memory()

    def send(self, pieces: Iterator[bytes], headers: Mapping[str, str], kind: str) -> Response:
        """Return a streaming response of `pieces`; small ones are complete and not limited.

        Raise `TooManyStreams` at the limit.
        """
        start = b""
        for piece in pieces:
            start += piece
            if len(start) > PIECE:
                rest = _continue(start, pieces)
                return self.hold(Response(rest, headers=dict(headers), content_type=kind))
        return Response(start, headers=dict(headers), content_type=kind)


def _continue(start: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    del start
    yield from pieces
