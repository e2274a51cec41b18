"""Reads a JSON document into typed values, collecting everything that is wrong on the way."""

import math
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from shared.domain.errors import Fault

_T = TypeVar("_T")
_LARGEST: Final = 10**300


class Node:
    """A place in a document.

    Each method gives the place's value as one kind of thing. When the value is missing or of
    another kind, it adds a fault to `faults` and gives a harmless stand-in, and reading goes on.
    """

    def __init__(self, value: object, faults: list[Fault], *, code: str, pointer: str = "") -> None:
        self._value, self._faults = value, faults
        self._code, self._pointer = code, pointer

    def __getitem__(self, name: str) -> "Node":
        inside = self._value.get(name) if isinstance(self._value, dict) else None
        return self._below(name, inside)

    def fault(self, detail: str) -> None:
        """Say that something is wrong here."""
        self._faults.append(Fault(pointer=self._pointer, code=self._code, detail=detail))

    def text(self, pattern: re.Pattern[str] | None = None) -> str:
        """Read text, all of which matches `pattern`."""
        if isinstance(self._value, str) and (not pattern or pattern.fullmatch(self._value)):
            return self._value
        self.fault(f"text like {pattern.pattern} is needed" if pattern else "text is needed")
        return ""

    def count(self, least: int = 0) -> int:
        """Read a whole number of at least `least`."""
        value = self._value
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        self.fault(f"a whole number of at least {least} is needed")
        return least

    def number(self) -> float:
        """Read a finite number; Python's JSON reader lets NaN and infinity pass."""
        value = self._value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # An int may be too large to become a float at all.
            number = float(value) if abs(value) < _LARGEST else math.nan
            if math.isfinite(number):
                return number
        self.fault("a finite number is needed")
        return 0.0

    def each(self, read: Callable[["Node"], _T], *, least: int = 0) -> tuple[_T, ...]:
        """Read a list of at least `least` things, each with `read`."""
        if not isinstance(self._value, list) or len(self._value) < least:
            self.fault(f"a list of at least {least} is needed")
            return ()
        return tuple(read(self._below(index, inside)) for index, inside in enumerate(self._value))

    def members(self, read: Callable[["Node"], _T]) -> dict[str, _T]:
        """Read an object of things by name, each with `read`."""
        if not isinstance(self._value, dict):
            self.fault("an object is needed")
            return {}
        return {str(name): read(self[name]) for name in self._value}

    def optional(self, read: Callable[["Node"], _T]) -> _T | None:
        """Read a thing with `read`; null or nothing stays None."""
        return None if self._value is None else read(self)

    def as_is(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Take the value without looking at it."""
        return self._value

    def _below(self, name: str | int, value: object) -> "Node":
        pointer = f"{self._pointer}/{name}"
        return Node(value, self._faults, code=self._code, pointer=pointer)
