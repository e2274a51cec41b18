"""The send time-out of gunicorn's worker, on a connection that records what it is asked."""

import errno
import socket

import pytest

from api.gunicorn_worker import PIECE, SendTimeout, TimedSocket


class Connection:
    """A socket that takes `pieces` pieces and then waits longer than its time-out."""

    def __init__(self, pieces: int) -> None:
        self.timeout: float | None = None
        self.sent: list[tuple[int, float | None]] = []
        self.options: list[tuple[int, int]] = []
        self._pieces = pieces

    def settimeout(self, seconds: float | None) -> None:
        self.timeout = seconds

    def sendall(self, data: bytes) -> None:
        if len(self.sent) == self._pieces:
            raise TimeoutError
        self.sent.append((len(data), self.timeout))

    def setsockopt(self, level: int, option: int, _: bytes) -> None:
        self.options.append((level, option))

    def recv(self, size: int) -> bytes:
        return b"x" * size


def test_each_piece_of_a_response_has_the_whole_time() -> None:
    """So a long download over a slow line goes on as long as it makes progress."""
    connection = Connection(pieces=3)

    TimedSocket(connection, 7.0).sendall(b"x" * (2 * PIECE + 5))

    assert connection.sent == [(PIECE, 7.0), (PIECE, 7.0), (5, 7.0)]
    assert connection.timeout is None


def test_a_connection_that_takes_no_piece_in_time_is_reset() -> None:
    """Gunicorn takes that for a client that is gone; nothing is kept for it in the kernel."""
    connection = Connection(pieces=1)

    with pytest.raises(SendTimeout) as raised:
        TimedSocket(connection, 7.0).sendall(b"x" * (2 * PIECE))

    assert raised.value.errno == errno.ECONNRESET
    assert connection.options == [(socket.SOL_SOCKET, socket.SO_LINGER)]
    assert connection.timeout is None


def test_reading_is_left_to_the_connection() -> None:
    """Heads and bodies have time-outs of their own."""
    assert TimedSocket(Connection(pieces=0), 7.0).recv(2) == b"xx"
