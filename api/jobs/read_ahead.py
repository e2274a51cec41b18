"""Makes the next item while the one before it is used."""

from collections.abc import Generator, Iterator
from typing import TypeVar

import gevent

T = TypeVar("T")


def prefetch_one(items: Iterator[T]) -> Generator[T, None, None]:
    """Return `items`, none of which is None, each made by a greenlet while the last one is used.

    Whoever stops early closes the generator, which stops the making too. What making an item
    raises comes in its place.
    """
    coming = gevent.spawn(_step, items)
    try:
        while (item := coming.get()) is not None:
            if isinstance(item, Exception):
                raise item
            coming = gevent.spawn(_step, items)
            yield item
    finally:
        coming.kill()


def _step(items: Iterator[T]) -> T | Exception | None:
    """Make an item; give None at the end, or what was raised, which gevent would print."""
    try:
        return next(items, None)
    except Exception as error:  # noqa: BLE001 - raised again where the item is wanted
        return error
