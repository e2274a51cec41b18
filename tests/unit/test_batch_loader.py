"""Questions that arrive together are answered with one query."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.background.batch_loader import BatchLoader
from shared.domain.errors import DatabaseDown
from tests.waiting import wait_for


class Library:
    """Doubles numbers; waits at a gate, knows no negative ones, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def __call__(self, keys: Sequence[int]) -> dict[int, int]:
        self.asked.append(sorted(keys))
        assert self.gate.wait(3600)
        if self.error is not None:
            raise self.error
        return {key: 2 * key for key in keys if key >= 0}


def test_a_lone_question_is_asked_at_once() -> None:
    """And one without an answer gives None."""
    ask = BatchLoader(Library())

    assert (ask(21), ask(-1)) == (42, None)


def test_questions_that_arrive_during_a_query_are_asked_together() -> None:
    """Each gets its own answer, and the same question is asked once."""
    library = Library()
    library.gate.clear()
    ask = BatchLoader(library)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(ask, 1)
        wait_for(lambda: bool(library.asked))
        rest = [pool.submit(ask, key) for key in (2, 3, 3, 4, 2, 5, 6, 7)]
        wait_for(lambda: len(ask._pending) == 8)  # noqa: SLF001 - nobody else asks
        library.gate.set()
        assert [future.result(timeout=3600) for future in (first, *rest)] == [
            2, 4, 6, 6, 8, 4, 10, 12, 14
        ]  # fmt: skip

    assert library.asked == [[1], [2, 3, 4, 5, 6, 7]]


def test_an_error_is_raised_to_all_who_asked_and_not_to_the_next() -> None:
    """A database that is down and comes back leaves nobody waiting."""
    library = Library()
    library.error = DatabaseDown()
    ask = BatchLoader(library)
    with pytest.raises(DatabaseDown):
        ask(1)

    library.error = None
    assert ask(1) == 2


def test_many_threads_all_get_their_own_answers() -> None:
    """None is lost and none is mixed up, however they interleave."""
    ask = BatchLoader(Library())
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(2000))) == [2 * key for key in range(2000)]
