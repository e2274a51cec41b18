"""Prefetching: produce the next item while the previous one is in use."""

from collections.abc import Generator, Iterator
from typing import TypeVar

import gevent

T = TypeVar("T")


def prefetch_one(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield `items`, none of which is None, and produce the next one in a greenlet meanwhile.

    Closing the generator early also stops the greenlet. An error of `items` is raised in the place
    of the item.
    """
    upcoming = gevent.spawn(_step, items)
    try:
        while (item := upcoming.get()) is not None:
            if isinstance(item, Exception):
                raise item
            upcoming = gevent.spawn(_step, items)
            yield item
    finally:
        upcoming.kill()


def _step(items: Iterator[T]) -> T | Exception | None:
    """Return the next item, None at the end, or the error raised, which gevent would print."""
    try:
        return next(items, None)
    except Exception as error:  # noqa: BLE001 - raised where the item is consumed
        return error
