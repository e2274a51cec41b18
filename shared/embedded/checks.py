"""What must hold before anything is started, each refusal a sentence that says what to do."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.embedded.failure import LaunchFailed

LOCK_NAME: Final = "up.pid"
"""The file that a running `make up` locks, in its folder."""
_LOOPBACK: Final = "127.0.0.1"


def make_writable(folder: Path) -> None:
    """Make `folder`, or raise LaunchFailed when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"cannot write to {folder} ({error.strerror}); it holds the database."
        raise LaunchFailed(message) from error


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the system lets it go however the process ends.

    Raises LaunchFailed when another process holds it.
    """
    file = folder / LOCK_NAME
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = file.read_text().strip()
            message = f"drybeans already runs in this folder (process {pid}); stop that one first."
            raise LaunchFailed(message) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def require_free_port(host: str, port: int) -> None:
    """Raise LaunchFailed when something already uses `port`."""
    try:
        # A listener on all addresses would still let us bind to one of them: ask it first.
        with socket.create_connection((reachable(host), port), timeout=1):
            pass
    except OSError:
        pass
    else:
        raise LaunchFailed(_taken(port))
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except PermissionError:
        message = f"port {port} needs root; choose another: make up PORT=5001"
        raise LaunchFailed(message) from None
    except OSError:
        raise LaunchFailed(_taken(port)) from None


def free_port() -> int:
    """Return a loopback port that nothing uses right now."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def reachable(host: str) -> str:
    """Return an address of this machine at which a server bound to `host` answers."""
    return _LOOPBACK if host in {"", "0.0.0.0"} else host  # noqa: S104 - compared, not bound


def _taken(port: int) -> str:
    return f"port {port} is taken by another program; choose another: make up PORT={port + 1}"
