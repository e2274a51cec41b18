"""Bodies that come too slowly are given up, so that nobody holds a connection by trickling."""

import io
from collections.abc import Callable
from typing import Any, Final, Protocol

import gevent
from gunicorn.http.errors import ParseException

from shared.domain.errors import BodyMalformed, BodyTooSlow, UploadIncomplete

PROGRESS_BYTES: Final = 1 << 16
"""How many bytes must come within the time."""


class Body(Protocol):
    """A body as gunicorn gives it: it returns when it has all that it is asked for, or the end."""

    failed: bool

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, fewer at the end."""
        ...


class TimedBody(io.RawIOBase):
    """A body each piece of which must arrive within some seconds.

    The clock runs only while somebody reads, and anew for each piece: however long an upload
    takes, it goes on as long as it makes progress, and what came fast buys no right to trickle.
    """

    def __init__(self, body: Body, seconds: float, give_up: Callable[[], None]) -> None:
        """Take gunicorn's `body`, and `give_up`, which says that the connection is to be closed."""
        super().__init__()
        self.body = body
        self._seconds = seconds
        self._abort = give_up

    @property
    def failed(self) -> bool:
        """Whether it is unknown where the next request begins, as gunicorn asks."""
        return self.body.failed

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a buffer of any kind
        """Fill `buffer`, or what the body has left.

        Raises `BodyTooSlow`, `BodyMalformed` and `UploadIncomplete`.
        """
        view = memoryview(buffer).cast("B")
        filled = 0
        while piece := self._next(min(len(view) - filled, PROGRESS_BYTES)):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def _next(self, size: int) -> bytes:
        late = BodyTooSlow(
            f"The body must bring {PROGRESS_BYTES} bytes in each {self._seconds:g} seconds."
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
            # The client, or something between it and us, went away.
            self._abort()
            raise UploadIncomplete from None
