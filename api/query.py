"""Reads the query of a request."""

from typing import Final

from flask import request

from shared.domain.errors import RequestInvalid

_MOST_DIGITS: Final = 18


def whole_number(name: str, *, default: int, least: int, most: int) -> int:
    """Read the query's `name` as a whole number. Raises `RequestInvalid` outside the bounds."""
    text = request.args.get(name)
    if text is None:
        return default
    digits = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    if not (digits and least <= int(text) <= most):
        raise RequestInvalid(f"{name} must be a whole number from {least} to {most}.")
    return int(text)
