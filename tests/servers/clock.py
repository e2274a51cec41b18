"""A clock that is wrong, for one process; it takes a C compiler."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.servers.process import ServerMissing

_SOURCE: Final = Path(__file__).parents[1] / "chaos" / "clock_shift.c"


def shifted_by(seconds: int, folder: Path) -> dict[str, str]:
    """Return the environment of a process whose wall clock is `seconds` ahead, and goes on.

    No other clock is moved, so waits and time-outs last as long as ever. The library that does it
    is compiled into `folder`. Raises ServerMissing where there is no compiler.
    """
    if shutil.which("cc") is None:
        message = "there is no C compiler (cc)"
        raise ServerMissing(message)
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "clock_shift.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)]
    subprocess.run(command, check=True, capture_output=True)
    return {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(seconds)}
