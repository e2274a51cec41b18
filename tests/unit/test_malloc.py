"""Freed memory, which is kept."""

import platform
import subprocess
import sys

import pytest

_COUNT = """
from resource import RUSAGE_SELF, getrusage
from shared.malloc import keep_freed_memory
{first}
bytes(16 << 20)
before = getrusage(RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytes(bytearray(16 << 20))
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str) -> int:
    """Count the page faults of a process that does `first` and then uses much memory in turns."""
    code = _COUNT.format(first=first)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_blocks_are_not_mapped_anew_each_time() -> None:
    """Which the system would have to clear page by page."""
    assert faults("keep_freed_memory()") < faults("") / 3
