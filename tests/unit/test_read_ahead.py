"""The next chunk of an upload is made while the last one is being stored."""

from collections.abc import Iterator
from contextlib import closing

import gevent
import pytest

from api.jobs.read_ahead import prefetch_one


def counted(made: list[int], last: int = 3) -> Iterator[int]:
    """Make numbers up to `last`, each after a wait."""
    for number in range(1, last + 1):
        gevent.sleep(0.001)
        made.append(number)
        yield number


def test_one_item_is_made_while_the_last_one_is_used() -> None:
    """One and no more: memory holds what is used, and what comes next."""
    made: list[int] = []
    seen = []
    for number in prefetch_one(counted(made)):
        gevent.sleep(0.05)
        seen.append((number, made[-1]))

    assert seen == [(1, 2), (2, 3), (3, 3)]


def test_what_making_an_item_raises_comes_in_its_place() -> None:
    """After the items before it, and to whoever takes them."""

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("two is bad")

    ahead = prefetch_one(broken())

    assert next(ahead) == 1
    with pytest.raises(ValueError, match="two is bad"):
        next(ahead)


def test_nothing_more_is_made_for_who_stops_early() -> None:
    """An upload that cannot be stored is read no further."""
    made: list[int] = []
    with closing(prefetch_one(counted(made))) as ahead:
        assert next(ahead) == 1
    gevent.sleep(0.05)

    assert made == [1]
