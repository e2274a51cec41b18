"""Starts parts, shows what they print, and stops all of them when one dies or a person says so.

One thread does it all, so a part can be made to die with us: the hook that asks for that runs
between fork and exec, where a second thread could leave a lock held.
"""

import contextlib
import ctypes
import io
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self, TextIO

from shared.embedded.failure import LaunchFailed

_TICK: Final = 0.1
_READ_BYTES: Final = 65536
_READY_SECONDS: Final = 120.0
_COLOURS: Final = (36, 32, 33, 35, 34, 31)
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process: `ready` is asked before the next part starts.

    `once`: it runs to its end first, which must be a good one. `last`: the others need it until
    they have ended. `log`: where it writes instead of to its standard output. `environment`: what
    it is told beside what all are told.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool] = lambda: True
    once: bool = False
    last: bool = False
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Running:
    part: Part
    process: subprocess.Popen[bytes]
    prefix: str
    unfinished_line: bytes = b""


class Supervisor:
    """Runs parts until one dies or SIGINT or SIGTERM comes; a second signal stops at once."""

    def __init__(self, out: TextIO, *, grace: float, colour: bool) -> None:
        """Write the parts' lines to `out`; a part has `grace` seconds to stop in good order."""
        self._out = out
        self._grace = grace
        self._colour = colour
        self._running: list[_Running] = []
        self._started = 0
        self._signals = 0
        self._selector = selectors.DefaultSelector()

    def told_to_stop(self) -> bool:
        """Whether a signal has come."""
        return self._signals > 0

    def __enter__(self) -> Self:
        numbers = [signal.SIGINT, signal.SIGTERM]
        # nohup has asked for this one to be ignored.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, _: object, error: object, __: object) -> None:
        self._say(f"drybeans: {error}; stopping the rest" if error else "drybeans: stopping")
        self.stop()

    def start(self, part: Part) -> None:
        """Start `part` and wait until it is ready, or has ended well if it runs once.

        Raises LaunchFailed when it, or another part, dies meanwhile, or it does not get ready.
        Returns early when a signal comes, and does nothing when one has come.
        """
        if self.told_to_stop():
            return
        running = self._spawn(part)
        deadline = time.monotonic() + _READY_SECONDS
        while not self.told_to_stop() and not self._settled(running):
            if not part.once and time.monotonic() > deadline:
                message = f"{part.name} was not ready after {_READY_SECONDS:.0f} s"
                raise LaunchFailed(message)
            self._watch()

    def wait(self) -> None:
        """Show the parts' output until a signal comes; raises LaunchFailed when a part dies."""
        while not self.told_to_stop():
            self._watch()

    def stop(self) -> None:
        """Stop every part: SIGTERM, and SIGKILL to its whole process group after the grace."""
        for last in (False, True):
            wave = [running for running in self._running if running.part.last == last]
            for running in wave:
                running.process.terminate()
            self._await_end(wave)
            for running in wave:
                self._end(running)
        self._show(0)
        for running in self._running:
            _output(running).close()
        self._running.clear()
        self._selector.close()

    def _spawn(self, part: Part) -> _Running:
        # A process group each: Ctrl-C reaches us alone, and we can end a part's children too.
        process = subprocess.Popen(
            part.command,
            env={**os.environ, **part.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there is one thread, see above
        )
        colour = _COLOURS[self._started % len(_COLOURS)]
        self._started += 1
        prefix = f"\x1b[{colour}m{part.name:8}|\x1b[0m" if self._colour else f"{part.name:8}|"
        running = _Running(part=part, process=process, prefix=prefix)
        self._running.append(running)
        self._selector.register(_output(running), selectors.EVENT_READ, running)
        return running

    def _await_end(self, wave: list[_Running]) -> None:
        deadline = time.monotonic() + self._grace
        while any(running.process.poll() is None for running in wave):
            if time.monotonic() > deadline or self._signals > 1:
                return
            self._show(_TICK)

    def _end(self, running: _Running) -> None:
        if running.process.poll() is None:
            self._say(f"{running.prefix} did not stop in {self._grace:.0f} s and is killed")
        elif running.part.once:
            # It ended long ago, and its process group may be another's by now.
            return
        # Also after a good end: a child of the part may have stayed behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()

    def _settled(self, running: _Running) -> bool:
        if not running.part.once:
            return running.part.ready()
        return running.process.poll() == 0

    def _watch(self) -> None:
        self._show(_TICK)
        for running in self._running:
            code = running.process.poll()
            if code is not None and not (running.part.once and code == 0):
                self._show(0)
                raise LaunchFailed(_how_it_ended(running.part, code))

    def _show(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            running: _Running = key.data
            chunk = os.read(key.fd, _READ_BYTES)
            *lines, running.unfinished_line = (running.unfinished_line + chunk).split(b"\n")
            if not chunk:
                self._selector.unregister(key.fileobj)
                lines += [running.unfinished_line] if running.unfinished_line else []
            for line in lines:
                self._say(f"{running.prefix} {line.decode(errors='replace')}")

    def _say(self, line: str) -> None:
        try:
            print(line, file=self._out, flush=True)
        except BrokenPipeError:
            # Whoever read our output is gone. The parts must be stopped all the same.
            self._out = io.StringIO()
            self._signals += 1

    def _on_signal(self, *_: object) -> None:
        self._signals += 1


def _output(running: _Running) -> IO[bytes]:
    assert running.process.stdout is not None  # noqa: S101 - we asked for a pipe
    return running.process.stdout


def _how_it_ended(part: Part, code: int) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"{part.name} {how}" + (f"; see {part.log}" if part.log else "")


def _die_with_parent() -> None:
    # Without this, a `kill -9` of ours would leave the parts running and holding the port. Linux
    # alone can do it.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
