"""A small HTTP/1.1 client on one kept connection, so that the client is not what is measured."""

from typing import Final

from gevent import socket

_END: Final = b"\r\n\r\n"
_READ_BYTES: Final = 65536


class Wire:
    """One connection; opened at first use, and again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def call(
        self, method: str, path: str, body: bytes = b"", headers: str = ""
    ) -> tuple[int, bytes]:
        """Send a request and give the answer's status and body."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection = self._socket or self._open()
        connection.sendall(head.encode() + body)
        status, closing, answer = _read(connection)
        if closing:
            self.close()
        return status, answer

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket


def _read(connection: socket.socket) -> tuple[int, bool, bytes]:
    data = b""
    while _END not in data:
        data += _receive(connection)
    head, _, body = data.partition(_END)
    status = int(head[9:12])
    head = head.lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
    while len(body) < length:
        body += _receive(connection)
    return status, b"\r\nconnection: close" in head, body


def _receive(connection: socket.socket) -> bytes:
    data: bytes = connection.recv(_READ_BYTES)
    if not data:
        message = "the server closed the connection in the middle of an answer"
        raise ConnectionError(message)
    return data
