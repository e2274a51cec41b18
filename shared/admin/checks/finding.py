"""What the doctor finds."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # works, but look at it
    WRONG = "wrong"  # does not work, or breaks a promise


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One thing that was looked at: what was found, and what to do about it."""

    about: str
    level: Severity
    what: str
    cure: str = ""


def ok(about: str, what: str) -> CheckResult:
    """Find that all is well."""
    return CheckResult(about=about, level=Severity.OK, what=what)


def warning(about: str, what: str, cure: str) -> CheckResult:
    """Find something to look at."""
    return CheckResult(about=about, level=Severity.WARNING, what=what, cure=cure)


def wrong(about: str, what: str, cure: str) -> CheckResult:
    """Find something that must be mended."""
    return CheckResult(about=about, level=Severity.WRONG, what=what, cure=cure)
