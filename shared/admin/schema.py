"""The tables: bring them up to date, or look whether they are."""

import argparse
from typing import Final

from shared.admin.command import Group, Output, Stage
from shared.db.engine import open_database
from shared.db.migrate import act, add_arguments

_PATIENCE: Final = 3600.0


def migrate(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Do what `python -m shared.db.migrate` does."""
    url = stage.settings.database_url.get_secret_value()
    # A migration of a large table takes long.
    database = open_database(url, connections=1, answer_seconds=_PATIENCE)
    current = act(database, arguments.action_name, arguments.revision)
    text = "the tables are up to date" if current else "the tables are not up to date"
    failed = arguments.action_name == "check" and not current
    return Output(text=text, document={"current": current}, code=int(failed))


def add_to(commands: Group) -> None:
    """Add `migrate`."""
    add_arguments(commands.add("migrate", migrate, "bring the tables up to date, or look"))
