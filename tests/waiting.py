"""Waiting for what another thread or process does, with an end."""

import threading
from collections.abc import Callable
from typing import Final

import pytest

PATIENCE: Final = 3600.0
"""Seconds after which something never happens. No test depends on how fast a machine is."""


def wait_for(
    condition: Callable[[], bool], seconds: float = PATIENCE, *, every: float = 0.005
) -> None:
    """Wait until `condition` holds; fail the test when it does not within `seconds`."""
    pause = threading.Event()
    for _ in range(int(seconds / every)):
        if condition():
            return
        pause.wait(every)
    pytest.fail("waited in vain")
