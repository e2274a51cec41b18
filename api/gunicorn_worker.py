"""gunicorn's gevent worker, with a time-out for clients that do not read their response."""

import errno
import logging
import socket
import struct
from typing import Any, Final

from gunicorn.workers.ggevent import GeventWorker

log = logging.getLogger(__name__)

PIECE: Final = 1 << 16
"""How many bytes a client must read within the time-out."""

# Close with a reset: the kernel then discards unsent data.
_RESET: Final = struct.pack("ii", 1, 0)
# How many unsent bytes the kernel may buffer; the rest stays in this process.
_UNSENT: Final = 2 * PIECE


class SendTimeout(ConnectionResetError):
    """The client did not read its response in time."""

    def __init__(self) -> None:
        """Use the errno that gunicorn treats as a client that is gone."""
        super().__init__(errno.ECONNRESET, "the client does not read its response")


class TimedSocket:
    """A connection that is reset when the client does not read each piece within `seconds`.

    The timer restarts with each piece: a long download over a slow line continues as long as it
    makes progress. Everything but sending is delegated to the connection.
    """

    def __init__(self, connection: Any, seconds: float) -> None:  # noqa: ANN401 - gevent's socket
        """Wrap `connection`."""
        self._connection = connection
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the socket has
        """Return the connection's own attribute."""
        return getattr(self._connection, name)

    def sendall(self, data: bytes) -> None:
        """Send all of `data`. Raise `SendTimeout` when a piece is not read in time."""
        view = memoryview(data)
        self._connection.settimeout(self._seconds)
        try:
            for start in range(0, len(view), PIECE):
                self._connection.sendall(view[start : start + PIECE])
        except TimeoutError:
            log.info("response_aborted", extra={"reason": "send_timeout"})
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raise SendTimeout from None
        finally:
            self._connection.settimeout(None)


class ApiWorker(GeventWorker):  # type: ignore[misc] # gunicorn ships no types
    """gunicorn's gevent worker with a send time-out, in seconds."""

    send_timeout: float

    def patch(self) -> None:
        """Set a small send buffer on the listening sockets, which connections inherit."""
        super().patch()
        for listener in self.sockets:
            if listener.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)

    def handle_request(self, listener: Any, req: Any, client: Any, address: Any) -> Any:  # noqa: ANN401
        """Handle one request, whose response must be read in time."""
        return super().handle_request(
            listener, req, TimedSocket(client, self.send_timeout), address
        )
