"""What the doctor finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # works, but look at it
    WRONG = "wrong"  # does not work, or breaks a promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: what was found, and what to do about it."""

    about: str
    level: Level
    what: str
    cure: str = ""


def ok(about: str, what: str) -> Finding:
    """Find that all is well."""
    return Finding(about=about, level=Level.OK, what=what)


def warning(about: str, what: str, cure: str) -> Finding:
    """Find something to look at."""
    return Finding(about=about, level=Level.WARNING, what=what, cure=cure)


def wrong(about: str, what: str, cure: str) -> Finding:
    """Find something that must be mended."""
    return Finding(about=about, level=Level.WRONG, what=what, cure=cure)
