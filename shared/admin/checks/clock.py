"""Do this machine and the database agree on the time?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from shared.admin.checks.finding import Finding, ok, warning, wrong
from shared.admin.command import Stage
from shared.db.overview import read_clock
from shared.db.server import in_plain_words
from shared.domain.errors import DatabaseDown

_ABOUT: Final = "clock"
_NOTED: Final = 1.0
_WRONG: Final = 30.0


def check_clock(stage: Stage) -> Iterator[Finding]:
    """Compare the database's clock with this machine's; nothing where it does not answer."""
    try:
        with in_plain_words():
            # The first asking opens the connection, which takes a while.
            stage.database.read(read_clock)
            before = datetime.now(UTC)
            there = stage.database.read(read_clock)
            after = datetime.now(UTC)
    except DatabaseDown:
        return
    yield judge((there - before - (after - before) / 2).total_seconds())


def judge(seconds: float) -> Finding:
    """Judge how far the database's clock is ahead of this machine's, in seconds."""
    way = "ahead of" if seconds > 0 else "behind"
    what = f"The database's clock is {abs(seconds):.1f} s {way} this machine's."
    cure = "Set both by NTP. Leases go by the database's clock; deadlines and ages by this one."
    if abs(seconds) > _WRONG:
        return wrong(_ABOUT, what, cure)
    if abs(seconds) > _NOTED:
        return warning(_ABOUT, what, cure)
    return ok(_ABOUT, what)
