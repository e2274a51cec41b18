"""A worker at work in the background of a test, and beans to send to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.service import Service

BEAN: Final = [
    *(33958.0, 677.1, 253.69, 171.05, 1.48, 0.74, 34241.0, 207.93),
    *(0.82, 0.99, 0.93, 0.82, 0.01, 0.0, 0.67, 1.0),
]
"""The walkthrough's own bean, a Dermason."""


@contextmanager
def working(service: Service) -> Iterator[None]:
    """Run every message that comes, as a worker process does, until the test leaves."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.002):
            service.work()

    worker = threading.Thread(target=work, name="test-worker")
    worker.start()
    try:
        yield
    finally:
        done.set()
        worker.join()
