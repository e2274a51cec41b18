"""Answers questions that arrive together with one query, as the intake does for commits."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MAX_BATCH: Final = 500


class _Lookup(Generic[K, V]):
    """One who asks, and what became of it."""

    def __init__(self, key: K) -> None:
        self.key = key
        self.done = False
        self.value: V | None = None
        self.error: Exception | None = None


class BatchLoader(Generic[K, V]):
    """Asks at once for all keys that gather while the query before is under way.

    There is no thread and no timer: whoever holds the lock asks for all who wait, and a lone
    question is asked at once.
    """

    def __init__(self, ask: Callable[[Sequence[K]], Mapping[K, V]]) -> None:
        """Take `ask`, which answers many keys and leaves out those without an answer."""
        self._load = ask
        self._waiting: deque[_Lookup[K, V]] = deque()
        self._lock = threading.Lock()

    def __call__(self, key: K) -> V | None:
        """Return the value of `key`, or None. Raises what loading its batch raised."""
        question: _Lookup[K, V] = _Lookup(key)
        self._waiting.append(question)
        # Lets the others run first: who was woken by the same hint is asked for with this one.
        time.sleep(0)
        while not question.done:
            with self._lock:
                if not question.done:
                    self._load_batch()
        if question.error is not None:
            raise question.error
        return question.value

    def _load_batch(self) -> None:
        size = min(len(self._waiting), _MAX_BATCH)
        group = [self._waiting.popleft() for _ in range(size)]
        try:
            answers = self._load(list({question.key for question in group}))
            for question in group:
                question.value = answers.get(question.key)
        except Exception as error:  # noqa: BLE001 - each who asked raises it
            for question in group:
                question.error = error
        for question in group:
            question.done = True
