"""The parts as processes, each in a group of its own, started anew when they die."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from shared.domain.jobs import ChunkRef
from tests.chaos.batches import note_of, read_note
from tests.servers import ServerFailed
from tests.servers.reaper import end_with_this_process

_ROOT: Final = Path(__file__).parents[2]
_STOP_SECONDS: Final = 600.0
_ENDING: Final = frozenset({signal.SIGKILL, signal.SIGTERM})
_MARKS: Final = ("DRYBEANS_PORT", "DRYBEANS_REDIS_URL", "DRYBEANS_DATABASE_URL")


class Part:
    """One part: a command that runs in a process group of its own."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._note = note_of(folder, name)
        self.starts = 0
        # Settings of the next starts that differ from the usual ones.
        self.changes: Mapping[str, str] = {}
        self.surprising_exits: list[int] = []
        self._asked_to_end = False
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    def start(self) -> None:
        """Start it; what it prints is appended to its log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment | dict(self.changes),
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end_with_this_process(self._process.pid)
        self._groups.append(self._process.pid)
        self._asked_to_end = False
        self.starts += 1

    def restart(self) -> None:
        """Start it again after it ended; nobody having asked it to is noted."""
        if self._process is not None and not self._asked_to_end:
            self.surprising_exits.append(self._process.wait())
        self.start()

    @property
    def pid(self) -> int:
        """The pid of its main process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its main process runs."""
        return self._process is not None and self._process.poll() is None

    def said(self, word: str) -> int:
        """Count how often its log has `word`."""
        return self.log.read_text(errors="replace").count(word)

    def await_word(self, word: str, seconds: float = 3600) -> None:
        """Wait until its log has `word`. Raises ServerFailed."""
        deadline = time.monotonic() + seconds
        while not self.said(word):
            if time.monotonic() > deadline:
                message = f"{self.name} did not say {word!r} within {seconds:.0f} s"
                raise ServerFailed(message)
            time.sleep(0.1)

    def children(self) -> list[int]:
        """Return the pids of the main process's own children."""
        try:
            return [child.pid for child in psutil.Process(self.pid).children()]
        except psutil.NoSuchProcess:
            return []

    def batch(self) -> set[ChunkRef]:
        """Read which chunks it is at, if it is a worker: with a claim or without one."""
        return read_note(self._note, self.children())

    def connections(self) -> int:
        """Count the connections that clients hold to the main process's own children."""
        served = 0
        for pid in self.children():
            found = psutil.Process(pid).net_connections("tcp")
            ports = {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}
            served += sum(
                one.status == psutil.CONN_ESTABLISHED and one.laddr.port in ports for one in found
            )
        return served

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes; does nothing when the main one has ended."""
        if self.alive:
            self._asked_to_end |= number in _ENDING
            _signal_group(self.pid, number)

    def send_main(self, number: signal.Signals) -> None:
        """Send a signal to the main process alone; does nothing when it has ended."""
        if self._process is not None and self.alive:
            self._asked_to_end |= number in _ENDING
            self._process.send_signal(number)

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        """Wait for the main process and give its exit code. Raises ServerFailed when it hangs."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            message = f"{self.name} did not end within {seconds:.0f} s"
            raise ServerFailed(message) from None

    def terminate(self, seconds: float = _STOP_SECONDS) -> int:
        """End it in good order and give its exit code. Raises ServerFailed when it hangs."""
        self.send_main(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End all of it at once, also what an earlier start has left behind."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        for process in psutil.process_iter():
            # Pids are given anew: a group is still ours only if its members have our settings.
            with suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) in self._groups and self._is_ours(process):
                    process.kill()

    def _is_ours(self, process: psutil.Process) -> bool:
        environment = process.environ()
        return all(environment.get(name) == self._environment.get(name) for name in _MARKS)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


class Keeper:
    """Starts parts anew when they die, as compose or Kubernetes would."""

    def __init__(self, parts: Sequence[Part], *, pause: float = 0.5) -> None:
        self._parts = parts
        self._pause = pause
        self._stop = threading.Event()
        self._held: set[Part] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._thread.join()

    def hold(self, part: Part) -> None:
        """Leave `part` dead until `release`."""
        self._held.add(part)

    def release(self, part: Part) -> None:
        """Look after `part` again."""
        self._held.discard(part)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            for part in self._parts:
                if not part.alive and part not in self._held:
                    time.sleep(self._pause)
                    if not self._stop.is_set():
                        part.restart()
