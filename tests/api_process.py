"""The API as a process of its own, and raw connections to it."""

import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import psutil

from tests.servers.process import Server

_ROOT: Final = Path(__file__).parent.parent
_SECONDS: Final = 3600.0


class ApiProcess(Server):
    """gunicorn as it is run for real, with `settings` (DRYBEANS_…)."""

    name = "api"

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._settings = dict(settings) | {
            "DRYBEANS_PORT": str(self.port),
            "DRYBEANS_MODEL_ROOT": str(_ROOT / "model_artifacts"),
        }

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return gunicorn's command; `env` becomes it, so its pid is gunicorn's."""
        unset = [f"--unset={name}" for name in os.environ if name.startswith("DRYBEANS_")]
        given = [f"{name}={value}" for name, value in self._settings.items()]
        options = ["--chdir", str(_ROOT), "-c", str(_ROOT / "api" / "gunicorn_conf.py")]
        return ["env", *unset, *given, sys.executable, "-m", "gunicorn", *options, "api.wsgi:app"]

    def answers(self) -> bool:
        """Return whether it says that it is healthy."""
        try:
            with closing(self.connect()) as connection:
                connection.sendall(
                    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                )
                return connection.recv(16).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def processes(self) -> list[psutil.Process]:
        """Return gunicorn's own process and those that answer."""
        master = psutil.Process(self.pid)
        return [master, *master.children(recursive=True)]

    def kill(self) -> None:
        """End all of it as a crash does."""
        if self._process is not None and self._process.poll() is None:
            for process in reversed(self.processes()):
                process.kill()
        super().kill()

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)

    def upload(self, parts: Iterable[bytes], *, length: int | None) -> socket.socket:
        """Send the head of an upload and `parts` of its body; with no length, as HTTP chunks."""
        connection = self.connect()
        how = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        head = f"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n{how}\r\n\r\n"
        connection.sendall(head.encode())
        for part in parts:
            connection.sendall(part if length is not None else as_http_chunk(part))
        return connection


def as_http_chunk(part: bytes) -> bytes:
    """Frame a part of a body; an empty one is its end."""
    return f"{len(part):x}\r\n".encode() + part + b"\r\n"


def answer_on(connection: socket.socket) -> bytes:
    """Read an answer to the end of its first packet that holds its body."""
    data = b""
    deadline = time.monotonic() + _SECONDS
    while b"\r\n\r\n" not in data or data.endswith(b"\r\n\r\n"):
        assert time.monotonic() < deadline
        more = connection.recv(65536)
        if not more:
            break
        data += more
    return data
