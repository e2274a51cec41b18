"""Do the processes, this machine and the database agree on the time?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from shared.admin.checks.finding import CheckResult, ok, warning, wrong
from shared.admin.command import Stage
from shared.db.queries.inspection import read_clock
from shared.db.server_info import describe_driver_errors
from shared.domain.errors import DatabaseDown, QueueDown

_ABOUT: Final = "clock"
_NOTED: Final = 1.0
_WRONG: Final = 30.0
_CURE: Final = (
    "Synchronize both by NTP. Jobs go by the database's clock alone; log lines, traces and "
    "metrics carry the other one."
)


def check_clock(stage: Stage) -> Iterator[CheckResult]:
    """Compare the clocks of this machine and of each process with the database's.

    Nothing where the database does not answer; processes are left out where Redis does not.
    """
    try:
        with describe_driver_errors():
            # The first query opens the connection, which takes a while.
            stage.database.read(read_clock)
            before = datetime.now(UTC)
            there = stage.database.read(read_clock)
            after = datetime.now(UTC)
    except DatabaseDown:
        return
    here = before + (after - before) / 2
    yield judge("This machine", (here - there).total_seconds())
    yield from _processes(stage)


def _processes(stage: Stage) -> Iterator[CheckResult]:
    """Judge the clock of each process by its last heartbeat, which holds its time and Redis'."""
    try:
        with describe_driver_errors():
            redis = stage.heartbeats.clock()
            database = stage.database.read(read_clock).timestamp()
        heartbeats = stage.heartbeats.read()
    except (DatabaseDown, QueueDown):
        return
    ahead = redis - database
    findings = [judge(h.name, h.clock - h.reported_at + ahead) for h in heartbeats]
    off = [finding for finding in findings if finding.cure]
    yield from off
    if findings and not off:
        yield ok(_ABOUT, f"The clocks of all {len(findings)} processes agree with the database's.")


def judge(whose: str, seconds: float) -> CheckResult:
    """Judge a clock that is `seconds` ahead of the database's."""
    way = "ahead of" if seconds > 0 else "behind"
    what = f"{whose}: the clock is {abs(seconds):.1f} s {way} the database's."
    if abs(seconds) > _WRONG:
        return wrong(_ABOUT, what, _CURE)
    if abs(seconds) > _NOTED:
        return warning(_ABOUT, what, _CURE)
    return ok(_ABOUT, what)
