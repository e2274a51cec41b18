"""A server process: started, waited for, stopped, killed, frozen and thawed by its pid."""

import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, Self

from tests.servers.reaper import end_with_this_process

# What never comes to an end fails after these; a loaded machine must not.
_START_SECONDS: Final = 1800.0
_STOP_SECONDS: Final = 1800.0
_LOG_TAIL_LINES: Final = 15
_PLACES: Final = "/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin:/usr/local/bin"


class ServerMissing(Exception):
    """The program of a server is not installed."""


class ServerFailed(Exception):
    """A server did not start or did not stop."""


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_program(*names: str) -> str:
    """Return the path of the first program found, also where only root's PATH looks.

    Raises ServerMissing.
    """
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path=_PLACES):
            return found
    message = f"no {' or '.join(names)} on this machine"
    raise ServerMissing(message)


class Server(ABC):
    """One server process in `folder`, on 127.0.0.1:`port`; a context manager that stops it."""

    name: str

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The address in SQLAlchemy's or redis-py's form."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the foreground command; raise ServerMissing when it is not installed."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server takes queries."""

    def prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Make what must exist before the first start."""

    @property
    def log(self) -> Path:
        """The file that holds what the server printed."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The pid of the running server; raises ServerFailed when it was not started."""
        if self._process is None:
            message = f"{self.name} is not running"
            raise ServerFailed(message)
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = self.command()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        end_with_this_process(self._process.pid)
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
                raise ServerFailed("\n".join([f"{self.name} did not start:", *tail]))
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server in good order; does nothing when it is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"{self.name} did not stop in {_STOP_SECONDS:.0f} s and was killed"
            raise ServerFailed(message) from None
        self._process = None

    def kill(self) -> None:
        """End the server as a crash does; its folder stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start on the same port and folder."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the process from running while its connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process run on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
