"""Reads a JSON document into typed values, collecting everything that is wrong on the way."""

import math
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from shared.domain.errors import FieldError

_T = TypeVar("_T")
_LARGEST: Final = 10**300
# What every reader of JSON, and a database, can take.
_LARGEST_INTEGER: Final = 2**63 - 1
_MAX_DEPTH: Final = 32


class Node:
    """A place in a document.

    Each method gives the place's value as one kind of thing. When the value is missing or of
    another kind, it adds a fault to `faults` and gives a harmless stand-in, and reading goes on.
    """

    def __init__(
        self, value: object, faults: list[FieldError], *, code: str, pointer: str = ""
    ) -> None:
        self._value, self._faults = value, faults
        self._code, self._pointer = code, pointer

    def __getitem__(self, name: str) -> "Node":
        inside = self._value.get(name) if isinstance(self._value, dict) else None
        return self._below(name, inside)

    def fault(self, detail: str) -> None:
        """Say that something is wrong here."""
        self._faults.append(FieldError(pointer=self._pointer, code=self._code, detail=detail))

    def text(self, pattern: re.Pattern[str] | None = None) -> str:
        """Read text, all of which matches `pattern`."""
        if isinstance(self._value, str) and (not pattern or pattern.fullmatch(self._value)):
            if flaw := _unwritable(self._value):
                self.fault(flaw)
            return self._value
        self.fault(f"text like {pattern.pattern} is needed" if pattern else "text is needed")
        return ""

    def count(self, least: int = 0, most: int = _LARGEST_INTEGER) -> int:
        """Read a whole number of at least `least` and at most `most`."""
        value = self._value
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            if value > most:
                self.fault(f"a whole number of at most {most} is needed")
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

    def value(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Take any value that can be written as JSON for every reader."""
        if flaw := _unwritable(self._value):
            self.fault(flaw)
            return None
        return self._value

    def _below(self, name: str | int, value: object) -> "Node":
        pointer = f"{self._pointer}/{name}"
        return Node(value, self._faults, code=self._code, pointer=pointer)


def _unwritable(value: object, depth: int = 0) -> str:
    """Return why other readers of JSON could not take `value`, empty if they could."""
    if depth > _MAX_DEPTH:
        return f"nested more than {_MAX_DEPTH} levels deep"
    match value:
        case str():
            # Half of a surrogate pair, which no encoding of Unicode can hold.
            return "" if _is_unicode(value) else "not Unicode text"
        case float():
            return "" if math.isfinite(value) else "a finite number is needed"
        case int():
            return "" if abs(value) <= _LARGEST_INTEGER else "an integer of over 63 bits"
        case list():
            parts = list(value)
        case dict():
            parts = [*value, *value.values()]
        case _:
            return ""
    return next((flaw for part in parts if (flaw := _unwritable(part, depth + 1))), "")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
