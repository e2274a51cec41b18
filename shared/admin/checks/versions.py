"""Are the libraries here those that drybeans was tried with?"""

import platform
import sys
from collections.abc import Iterator
from typing import Final

from shared.admin.checks.artifacts import installed
from shared.admin.checks.finding import CheckResult, ok, wrong
from shared.admin.command import Stage

_ABOUT: Final = "versions"
_OLDEST: Final = (3, 11)
_PINNED: Final = {"celery": "5.6.3", "kombu": "5.7.0"}
_SHOWN: Final = ("celery", "kombu", "redis", "SQLAlchemy", "PyMySQL", "alembic")


def check_versions(_stage: Stage) -> Iterator[CheckResult]:
    """Look at Python and at the libraries, above all the two that must go together."""
    found = {library: installed(library) for library in _SHOWN}
    shown = ", ".join(f"{library} {version}" for library, version in found.items())
    yield ok(_ABOUT, f"Python {platform.python_version()}, {shown}.")
    if sys.version_info < _OLDEST:
        yield wrong(_ABOUT, "Python 3.11 or newer is needed.", "Install it.")
    for library, needed in _PINNED.items():
        if found[library] != needed:
            yield wrong(
                _ABOUT, f"{library} is {found[library]}; drybeans needs {needed}.",
                "Install requirements/*.txt as they are (docs/adr/0020).",
            )  # fmt: skip
