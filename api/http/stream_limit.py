"""Bounds what responses hold in memory while clients read them slowly.

A response of more than one piece waits in this process for its client. Each of these takes one of
a fixed number of places until it is sent; without a free place the client is asked to come back.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from threading import Lock
from typing import Final

from flask import Response

from shared.domain.errors import TooManyStreams
from shared.malloc import return_freed_memory

PIECE: Final = 1 << 16
"""How many bytes a response may have without a place, and about how many a piece has."""


# When more than this part of the places were taken, their memory is returned to the system.
_MANY: Final = 4


class StreamLimit:
    """At most `limit` responses of one kind are sent at a time."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` of them."""
        self._limit = limit
        self._open = 0
        self._peak = 0
        self._lock = Lock()

    def hold(self, response: Response) -> Response:
        """Let `response` take a place until it is closed. Raise `TooManyStreams` without one."""
        with self._lock:
            if self._open == self._limit:
                raise TooManyStreams
            self._open += 1
            self._peak = max(self._peak, self._open)
        place = ExitStack()
        place.callback(self._release)
        # Closing it twice releases one place.
        response.call_on_close(place.close)
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
        """Send `pieces` as they are made; whole, and without a place, when they are small.

        Raises `TooManyStreams`.
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
