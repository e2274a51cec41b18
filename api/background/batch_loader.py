"""Batch concurrent lookups into one query, as group commit does for writes."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MAX_BATCH: Final = 500


class _Lookup(Generic[K, V]):
    """A pending lookup and its result or error."""

    def __init__(self, key: K) -> None:
        self.key = key
        self.done = False
        self.value: V | None = None
        self.error: Exception | None = None


class BatchLoader(Generic[K, V]):
    """Batch concurrent lookups into one query.

    There is no thread and no timer: the caller that holds the lock loads the keys of all pending
    lookups, and a lone lookup is loaded at once.
    """

    def __init__(self, load: Callable[[Sequence[K]], Mapping[K, V]]) -> None:
        """Use `load`, which returns the values of many keys and omits keys without a value."""
        self._load = load
        self._pending: deque[_Lookup[K, V]] = deque()
        self._lock = threading.Lock()

    def __call__(self, key: K) -> V | None:
        """Return the value of `key`, or None. Raise the error with which its batch failed."""
        lookup: _Lookup[K, V] = _Lookup(key)
        self._pending.append(lookup)
        # Yield: callers woken by the same notification join this batch.
        time.sleep(0)
        while not lookup.done:
            with self._lock:
                if not lookup.done:
                    self._load_batch()
        if lookup.error is not None:
            raise lookup.error
        return lookup.value

    def _load_batch(self) -> None:
        size = min(len(self._pending), _MAX_BATCH)
        batch = [self._pending.popleft() for _ in range(size)]
        try:
            values = self._load(list({lookup.key for lookup in batch}))
            for lookup in batch:
                lookup.value = values.get(lookup.key)
        except Exception as error:  # noqa: BLE001 - every caller raises it
            for lookup in batch:
                lookup.error = error
        for lookup in batch:
            lookup.done = True
