"""Abort requests whose body arrives too slowly (slow-loris protection)."""

import io
from collections.abc import Callable
from typing import Any, Final, Protocol

import gevent
from gunicorn.http.errors import ParseException

from shared.domain.errors import BodyMalformed, BodyTooSlow, UploadIncomplete

PROGRESS_BYTES: Final = 1 << 16
"""How many bytes must arrive within the time-out."""


class Body(Protocol):
    """A request body of gunicorn: reads block for the full size or the end of the body."""

    failed: bool

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, fewer at the end."""
        ...


class TimedBody(io.RawIOBase):
    """A body of which each piece must arrive within a time-out.

    The timer runs only during reads and restarts for each piece: an upload of any length continues
    as long as it makes progress, and a fast start does not allow a slow end.
    """

    def __init__(self, body: Body, seconds: float, abort: Callable[[], None]) -> None:
        """Wrap gunicorn's `body`; `abort` marks the connection to be closed."""
        super().__init__()
        self.body = body
        self._seconds = seconds
        self._abort = abort

    @property
    def failed(self) -> bool:
        """Whether the start of the next request is unknown; gunicorn then closes the connection."""
        return self.body.failed

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a buffer of any kind
        """Fill `buffer` and return the number of bytes, fewer than its size at the end.

        Raise `BodyTooSlow`, `BodyMalformed` or `UploadIncomplete`.
        """
        view = memoryview(buffer).cast("B")
        filled = 0
        while piece := self._next(min(len(view) - filled, PROGRESS_BYTES)):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def _next(self, size: int) -> bytes:
        late = BodyTooSlow(
            f"The body must deliver {PROGRESS_BYTES} bytes every {self._seconds:g} seconds."
        )
        try:
            with gevent.Timeout(self._seconds, late):
                return self.body.read(size)
        except BodyTooSlow:
            self._abort()
            raise
        except ParseException:
            self._abort()
            raise BodyMalformed("The body's chunked encoding is damaged.") from None
        except OSError:
            # The client or a proxy closed the connection.
            self._abort()
            raise UploadIncomplete from None
