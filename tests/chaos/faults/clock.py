"""Clocks that are an hour off, in one part at a time (needs Debian's libfaketime)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.chaos.faults.base import Registry, Strike, Target, fault, redeploy
from tests.chaos.parts import Part
from tests.chaos.stage import Stage

FAULTS: Final[Registry] = {}
_PLACES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")
_LIBRARY: Final = "libfaketimeMT.so.1"
_WHO: Final[dict[str, Callable[[Stage], Sequence[Part]]]] = {
    "the API": lambda stage: [stage.api],
    "workers": lambda stage: stage.workers,
    "sweepers": lambda stage: stage.sweepers,
}
_OFFSETS: Final = {"ahead": "+3600", "behind": "-3600"}


def library() -> str | None:
    """Return the path of libfaketime, None where it is not installed."""
    found = [file for place in _PLACES for file in Path("/").glob(f"{place[1:]}/{_LIBRARY}")]
    return str(found[0]) if found else None


def _clock_off(who: str, offset: str, strike: Strike) -> Iterator[None]:
    parts = _WHO[who](strike.stage)
    changes = {
        "LD_PRELOAD": library() or "",
        "FAKETIME": offset,
        # Only the wall clock is wrong: time-outs go by the other one.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    redeploy(strike, parts, changes)
    strike.require_progress(f"while the clock of {who} was off")
    yield
    redeploy(strike, parts, {})


for _who in _WHO:
    for _direction, _offset in _OFFSETS.items():
        fault(
            FAULTS,
            Target.CLOCK,
            f"clock of {_who} an hour {_direction}",
            hold=(4, 8),
            requires=lambda: library() is not None,
        )(partial(_clock_off, _who, _offset))
