"""Finds the `make up` that runs on this machine, for the operator's commands."""

import fcntl
import os
import shlex
from pathlib import Path
from typing import Final

from shared.embedded.checks import LOCK_NAME

PLACES_NAME: Final = "places.env"
"""The file in which `make up` writes where its own database and Redis are, as long as they run."""


def adopt_running(var: Path) -> None:
    """Set in our environment where the database and Redis of a running `make up` are.

    Nothing changes when none runs with its files in `var`, or when one of these is set already:
    whoever names a database of theirs does not mean this one.
    """
    if not _is_held(var / LOCK_NAME):
        return
    try:
        lines = (var / PLACES_NAME).read_text().splitlines()
    except OSError:
        return
    places = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    taken = set(os.environ)
    if taken & {"MYSQL_HOST", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DB"}:
        taken.add("DRYBEANS_DATABASE_URL")
    if not places.keys() & taken:
        os.environ.update(places)


def _is_held(lock: Path) -> bool:
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
