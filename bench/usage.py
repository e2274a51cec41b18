"""What processes use: CPU seconds, and memory as proportional set size (PSS).

PSS counts a page that n processes share as 1/n of a page in each, so that the sum over forked
processes is what the machine really spends. Where the system does not tell it, it is RSS.
"""

import threading
import time
from collections.abc import Mapping
from typing import Final, Self

import psutil

_PAUSE: Final = 0.5
_MB: Final = 1e6

Roots = Mapping[str, psutil.Process]


def cpu_seconds(roots: Roots) -> dict[str, float]:
    """Return the CPU seconds, user and system, that each process and its children have used."""
    return {name: sum(map(_cpu_seconds, _tree(root))) for name, root in roots.items()}


def memory_mb(roots: Roots) -> dict[str, float]:
    """Return the memory in MB that each process and its children use now."""
    return {name: sum(map(_memory, _tree(root))) / _MB for name, root in roots.items()}


class MemoryWatch:
    """Looks at the memory of some processes twice a second and keeps each one's peak."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peaks = dict.fromkeys(roots, 0.0)
        self.peak_sum = 0.0

    def look(self) -> None:
        """Measure once."""
        now = memory_mb(self._roots)
        self.peaks = {name: max(now[name], peak) for name, peak in self.peaks.items()}
        self.peak_sum = max(self.peak_sum, sum(now.values()))

    def _run(self) -> None:
        while not self._done.wait(_PAUSE):
            self.look()

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.look()


class CpuClock:
    """Counts the CPU seconds that some processes use from now on."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._before = cpu_seconds(roots)
        self._begun = time.monotonic()

    @property
    def wall(self) -> float:
        """Seconds since the clock was started."""
        return time.monotonic() - self._begun

    def read(self) -> dict[str, float]:
        """Return the CPU seconds of each process since the clock was started."""
        now = cpu_seconds(self._roots)
        return {name: seconds - self._before[name] for name, seconds in now.items()}


def listener(port: int) -> psutil.Process | None:
    """Find the process on this machine that listens on `port`, None when it cannot be seen."""
    for found in psutil.net_connections("tcp"):
        if found.status == psutil.CONN_LISTEN and found.laddr[1:] == (port,) and found.pid:
            return psutil.Process(found.pid)
    return None


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # With what it has used in children that are gone.
    return float(sum(times[:4]))


def _memory(process: psutil.Process) -> float:
    try:
        used = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0.0
    return float(getattr(used, "pss", used.rss))
