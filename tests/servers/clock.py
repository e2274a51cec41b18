"""A clock that is wrong, for one process: libfaketime, from Debian's package of that name."""

from pathlib import Path

from tests.servers.process import ServerMissing

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


def ahead_by(seconds: int) -> dict[str, str]:
    """Return the environment of a process whose clock is `seconds` ahead, and goes on.

    Waits and time-outs are not moved. Raises ServerMissing where libfaketime is not installed.
    """
    for pattern in _PLACES:
        for library in Path("/").glob(pattern.lstrip("/")):
            return {
                "LD_PRELOAD": str(library),
                "FAKETIME": f"{seconds:+d}s",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1",
            }
    message = "libfaketime is not installed (Debian: apt install libfaketime)"
    raise ServerMissing(message)
