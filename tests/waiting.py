"""Waiting for what another thread or process does, with an end."""

import threading
from collections.abc import Callable

import pytest


def wait_for(condition: Callable[[], bool], seconds: float = 5.0, *, every: float = 0.005) -> None:
    """Wait until `condition` holds; fail the test when it does not within `seconds`."""
    pause = threading.Event()
    for _ in range(int(seconds / every)):
        if condition():
            return
        pause.wait(every)
    pytest.fail("waited in vain")
