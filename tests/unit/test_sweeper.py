"""The sweeper's loop: a pass after a pause, whatever the pass before came to."""

import logging
import threading
import time
from pathlib import Path

import pytest

from shared.domain.errors import DatabaseDown
from shared.observability.heartbeat_file import HeartbeatFile
from worker.sweeper.runner import Pace, run

QUICK = Pace(calm=0.001, busy=0.001)


class FakeSweep:
    """Has or raises its outcomes one after another, and stops the loop at the last.

    They are "calm", or "more" when there is more to publish soon.
    """

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.times: list[float] = []
        self.stop = threading.Event()

    def __call__(self) -> bool:
        self.times.append(time.monotonic())
        outcome = self.outcomes.pop(0)
        if not self.outcomes:
            self.stop.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome == "more"


def test_passes_follow_one_another_until_told_to_stop() -> None:
    """With the pause between them."""
    sweep = FakeSweep("calm", "calm", "calm")

    run(sweep, sweep.stop, QUICK, HeartbeatFile(None).beat)

    assert len(sweep.times) == 3


def test_a_failed_pass_is_told_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a database that is down nor a bug ends the sweeper."""
    sweep = FakeSweep(DatabaseDown(), ZeroDivisionError(), "calm")

    run(sweep, sweep.stop, QUICK, HeartbeatFile(None).beat)

    assert len(sweep.times) == 3
    assert [(r.message, r.levelno) for r in caplog.records] == [
        ("sweep_waits", logging.WARNING),
        ("sweep_failed", logging.ERROR),
    ]


def test_a_backlog_is_published_without_the_long_pause() -> None:
    """A pass that found much to publish is followed soon; one that failed is not."""
    sweep = FakeSweep("more", "calm", "calm")

    run(sweep, sweep.stop, Pace(calm=0.3, busy=0.001), HeartbeatFile(None).beat)

    soon, late = sweep.times[1] - sweep.times[0], sweep.times[2] - sweep.times[1]
    assert soon < 0.2 < late


def test_each_pass_shows_that_the_sweeper_is_alive(tmp_path: Path) -> None:
    """Also one that fails: the database being down is no reason to restart the sweeper."""
    beat = tmp_path / "beat"
    sweep = FakeSweep(DatabaseDown())

    run(sweep, sweep.stop, QUICK, HeartbeatFile(beat).beat)

    assert beat.exists()


def test_a_sweeper_told_to_stop_does_not_sit_out_its_pause() -> None:
    """It ends at once, so that a deployment does not wait for it."""
    sweep = FakeSweep("calm")
    sweep.stop.set()

    run(sweep, sweep.stop, Pace(calm=3600), HeartbeatFile(None).beat)

    assert sweep.times == []
