"""Clocks that are an hour off, in one part at a time (needs a C compiler)."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.chaos.faults.base import Registry, Strike, Target, fault, redeploy
from tests.chaos.parts import Part
from tests.chaos.stage import Stage

FAULTS: Final[Registry] = {}
_SOURCE: Final = Path(__file__).parents[1] / "clock_shift.c"
_WHO: Final[dict[str, Callable[[Stage], Sequence[Part]]]] = {
    "the API": lambda stage: [stage.api],
    "workers": lambda stage: stage.workers,
    "sweepers": lambda stage: stage.sweepers,
}
_OFFSETS: Final = {"ahead": "3600", "behind": "-3600"}


def _compile(folder: Path) -> Path:
    """Compile the library that shifts a process's wall clock."""
    library = folder / "clock_shift.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)]
    subprocess.run(command, check=True, capture_output=True)
    return library


def _clock_off(who: str, offset: str, strike: Strike) -> Iterator[None]:
    parts = _WHO[who](strike.stage)
    library = _compile(strike.stage.folder)
    changes = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": offset}
    redeploy(strike, parts, changes)
    for kind in ("row", "upload"):
        strike.require_progress(f"while the clock of {who} was off", kind)
    yield
    redeploy(strike, parts, {})


for _who in _WHO:
    for _direction, _offset in _OFFSETS.items():
        fault(
            FAULTS,
            Target.CLOCK,
            f"clock of {_who} an hour {_direction}",
            hold=(4, 8),
            requires=lambda: shutil.which("cc") is not None,
        )(partial(_clock_off, _who, _offset))
