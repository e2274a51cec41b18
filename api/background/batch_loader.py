"""Answers questions that arrive together with one query, as the intake does for commits."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MOST: Final = 500


class _Question(Generic[K, V]):
    """One who asks, and what became of it."""

    def __init__(self, key: K) -> None:
        self.key = key
        self.done = False
        self.answer: V | None = None
        self.error: Exception | None = None


class Together(Generic[K, V]):
    """Asks at once for all keys that gather while the query before is under way.

    There is no thread and no timer: whoever holds the lock asks for all who wait, and a lone
    question is asked at once.
    """

    def __init__(self, ask: Callable[[Sequence[K]], Mapping[K, V]]) -> None:
        """Take `ask`, which answers many keys and leaves out those without an answer."""
        self._ask = ask
        self._waiting: deque[_Question[K, V]] = deque()
        self._asking = threading.Lock()

    def __call__(self, key: K) -> V | None:
        """Give the answer for `key`, None without one. Raises what asking for its group raised."""
        question: _Question[K, V] = _Question(key)
        self._waiting.append(question)
        # Lets the others run first: who was woken by the same hint is asked for with this one.
        time.sleep(0)
        while not question.done:
            with self._asking:
                if not question.done:
                    self._answer_group()
        if question.error is not None:
            raise question.error
        return question.answer

    def _answer_group(self) -> None:
        size = min(len(self._waiting), _MOST)
        group = [self._waiting.popleft() for _ in range(size)]
        try:
            answers = self._ask(list({question.key for question in group}))
            for question in group:
                question.answer = answers.get(question.key)
        except Exception as error:  # noqa: BLE001 - each who asked raises it
            for question in group:
                question.error = error
        for question in group:
            question.done = True
