"""Ends the servers that this process started when it ends, however it ends.

A small process of its own waits for the end of a pipe that only this process holds, and so sees a
Ctrl-C, a crash and `kill -9` alike, on Linux and macOS.
"""

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Final

import psutil

# Then those that are left are killed.
_TERM_SECONDS: Final = 20.0
# Two readings of when a process began may differ by as much as the clock is set.
_SAME_SECONDS: Final = 5.0


def end_with_this_process(pid: int) -> None:
    """Have the child `pid`, its descendants and its process group ended with this process."""
    watcher = _watcher(os.getpid())
    assert watcher.stdin is not None
    # It may have ended already.
    with suppress(psutil.NoSuchProcess):
        watcher.stdin.write(f"{pid} {psutil.Process(pid).create_time()!r}\n".encode())
        watcher.stdin.flush()


@cache
def _watcher(_of: int) -> subprocess.Popen[bytes]:
    # In a session of its own: no terminal and no group's signal reaches it.
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    atexit.register(process.communicate)
    return process


def _groups() -> dict[int, list[psutil.Process]]:
    """Return all processes by their process group."""
    groups: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            groups.setdefault(os.getpgid(process.pid), []).append(process)
    return groups


def _family(pid: int, began: float, group: list[psutil.Process]) -> Iterator[psutil.Process]:
    """Yield the process `pid` that began at `began`, its descendants, and its group's members."""
    with suppress(psutil.Error):
        leader = psutil.Process(pid)
        if abs(leader.create_time() - began) > _SAME_SECONDS:
            return
        yield leader
        yield from leader.children(recursive=True)
    for process in group:
        with suppress(psutil.Error):
            if process.create_time() > began - _SAME_SECONDS:
                yield process


def _end(processes: set[psutil.Process]) -> None:
    for number in (signal.SIGCONT, signal.SIGTERM):
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(number)
    for process in psutil.wait_procs(processes, _TERM_SECONDS)[1]:
        with suppress(psutil.Error):
            process.kill()


def main() -> None:
    """Wait until standard input ends, then end the processes that it named."""
    named = [(int(pid), float(began)) for pid, began in (line.split() for line in sys.stdin)]
    groups = _groups()
    _end({one for pid, began in named for one in _family(pid, began, groups.get(pid, []))})


if __name__ == "__main__":
    main()
