"""Brings a database up to date: `python -m shared.db.migrate [upgrade|downgrade|check]`."""

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from shared.db.engine import Database, open_database
from shared.db.server_info import describe_driver_errors
from shared.domain.errors import DatabaseDown, DryBeansError

log = logging.getLogger(__name__)

_LOCK_SECONDS: Final = 60
_RETRY_SECONDS: Final = 2.0
_BUSY: Final = f"Another migration on this server has not ended within {_LOCK_SECONDS} s."


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Move `database` up to `revision`. Safe to run from several places at once on MySQL."""
    _run(database, command.upgrade, revision)


def downgrade(database: Database, revision: str) -> None:
    """Move `database` down to `revision`; `base` removes every table."""
    _run(database, command.downgrade, revision)


def _run(database: Database, move: object, revision: str) -> None:
    # One connection for lock and migration: a second `migrate` waits for the first.
    with database.engine.connect() as connection, _only_one(connection), connection.begin():
        config = _config()
        config.attributes["connection"] = connection
        move(config, revision)  # type: ignore[operator]


class _only_one:  # noqa: N801 - a context manager
    """Holds the server's named lock until the migration is committed.

    SQLite needs none, since its transaction is the lock.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection if connection.dialect.name != "sqlite" else None

    def __enter__(self) -> None:
        if self._ask(f"SELECT GET_LOCK('drybeans.migrate', {_LOCK_SECONDS})") == 0:
            raise DatabaseDown(_BUSY)

    def __exit__(self, *_: object) -> None:
        self._ask("SELECT RELEASE_LOCK('drybeans.migrate')")

    def _ask(self, statement: str) -> int | None:
        if self._connection is None:
            return None
        answer: int | None = self._connection.exec_driver_sql(statement).scalar()
        # The lock belongs to the connection; only the transaction of the asking ends here.
        self._connection.commit()
        return answer


def is_current(connection: Connection) -> bool:
    """Return whether every migration this code knows has been applied."""
    heads = set(ScriptDirectory.from_config(_config()).get_heads())
    return set(MigrationContext.configure(connection).get_current_heads()) == heads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `act` takes: `action_name` and `revision`."""
    parser.add_argument(
        "action_name",
        metavar="ACTION",
        nargs="?",
        default="upgrade",
        choices=("upgrade", "downgrade", "check"),
        help="upgrade, downgrade or check",
    )
    parser.add_argument("revision", nargs="?", help="a revision, head or base")


def act(database: Database, action: str, revision: str | None) -> bool:
    """Do `action` and say whether the tables are up to date then. Raises `DatabaseDown`."""
    with describe_driver_errors():
        if action == "upgrade":
            upgrade(database, revision or "head")
        elif action == "downgrade":
            downgrade(database, revision or "-1")
        return database.read(is_current)


class Readable(Protocol):
    """What can tell whether a database takes queries."""

    def read(self, work: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 - what `work` returns
        """Run `work` in a transaction. Raises `DatabaseDown`."""


def wait_for_database(database: Readable, seconds: float, *, pause: float = _RETRY_SECONDS) -> None:
    """Return once `database` takes queries. Raises `DatabaseDown` when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            database.read(lambda connection: connection.exec_driver_sql("SELECT 1"))
        except DatabaseDown as error:
            if time.monotonic() > deadline:
                raise
            log.info("migrate_waits", extra={"reason": error.detail})
            time.sleep(pause)
        else:
            return


def main() -> None:
    """Run from the command line, on the database that the settings name."""
    from shared.observability.logs import start_logging  # noqa: PLC0415 - only when run as a program
    from shared.settings import read_settings  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m shared.db.migrate", description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="how long to wait for a database that does not respond yet",
    )
    arguments = parser.parse_args()
    try:
        settings = read_settings()
        start_logging(settings.log_level, settings.log_format)
        database = open_database(settings.database_url.get_secret_value(), answer_seconds=3600)
        wait_for_database(database, arguments.wait)
        current = act(database, arguments.action_name, arguments.revision)
    except DryBeansError as error:
        raise SystemExit(f"migrate: {error.detail}") from None
    if arguments.action_name == "check":
        raise SystemExit(0 if current else "the tables are not up to date")
    log.info("migrated", extra={"action": arguments.action_name})


if __name__ == "__main__":
    main()
