"""Numbers written as text: the one definition for CSV cells, headers, the pages and the client."""

import math
import re
from collections.abc import Sequence
from typing import Final

WHITESPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + ("\u202f\u205f\u3000")
)
"""What may surround a number: the white space of ASCII and the space characters of Unicode.

`str.strip()` removes more (the separators U+001C to U+001F, for example), which `float` refuses.
"""

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE | re.ASCII)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_MAX_SHOWN: Final = 40


def is_number(text: str) -> bool:
    """Return whether `text` is a finite number, with or without white space around it."""
    return number_error(text) is None


def number_error(text: str) -> tuple[str, str] | None:
    """Return why `text` is no finite number, as a code and a sentence, or None if it is one."""
    text = text.strip(WHITESPACE)
    if not text:
        return "missing", "The value is missing."
    if _NOT_FINITE.fullmatch(text):
        return "not_finite", "NaN and infinity are not measurements."
    if not _NUMBER.fullmatch(text):
        point = " Write decimals with a point." if _DECIMAL_COMMA.fullmatch(text) else ""
        return "not_a_number", f"{text[:_MAX_SHOWN]!r} is not a number.{point}"
    if math.isinf(float(text)):
        return "not_finite", "The number is too large for a float64."
    return None


def parse_number(text: str) -> float:
    """Return the value of `text`, for which `is_number` is true."""
    return float(text.strip(WHITESPACE))


def parse_numbers(texts: Sequence[str]) -> list[float] | None:
    """Return the values of `texts` when all are numbers beyond doubt, else None.

    It looks at all of them at once: None means that `number_error` has to look at each.
    """
    joined = "".join(texts)
    # What else Python takes for a number, but `number_error` does not.
    if not joined.isascii() or "_" in joined:
        return None
    try:
        numbers = list(map(float, texts))
    except ValueError:
        return None
    return numbers if math.isfinite(sum(numbers)) else None
