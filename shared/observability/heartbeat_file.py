"""A heartbeat in a file, for probes: `python -m shared.alive FILE [SECONDS]` reads it."""

import os
import sys
import time
from pathlib import Path
from typing import Final

_OLDEST: Final = 180.0


class HeartbeatFile:
    """Writes a file at each beat; without a file it does nothing."""

    def __init__(self, file: Path | None) -> None:
        """Take the `file` to touch, or None."""
        self._file = file

    def beat(self, status: str = "") -> None:
        """Show that this process still does its work, and in which `status` it is."""
        if self._file is None:
            return
        # By a clock that nobody sets: one that is put back or forth must restart nothing.
        now = time.monotonic()
        if status:
            # Replaced as a file, so that no probe reads half of it.
            replacement = self._file.with_name(f"{self._file.name}.new")
            replacement.write_text(status, encoding="utf-8")
            os.utime(replacement, (now, now))
            replacement.replace(self._file)
        else:
            self._file.touch()
            os.utime(self._file, (now, now))


def age(file: Path) -> float:
    """Return the seconds since the last beat, infinite when there was none."""
    try:
        seconds = time.monotonic() - file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    # A beat that is yet to come was before this machine started.
    return seconds if seconds > -1 else float("inf")


def main(arguments: list[str]) -> str | None:
    """Return None when the file's last beat is young enough, else what is wrong."""
    if not 1 <= len(arguments) <= 2:  # noqa: PLR2004 - FILE [SECONDS]
        return "usage: python -m shared.alive FILE [SECONDS]"
    oldest = float(arguments[1]) if len(arguments) > 1 else _OLDEST
    seconds = age(Path(arguments[0]))
    return None if seconds <= oldest else f"no sign of life for {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
