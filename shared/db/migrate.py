"""Brings a database up to date: `python -m shared.db.migrate [upgrade|downgrade|check]`."""

import argparse
import logging
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from shared.db.engine import Database, open_database
from shared.domain.errors import DatabaseDown, DryBeansError

log = logging.getLogger(__name__)

_LOCK_SECONDS: Final = 60
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
    """Say whether every migration this code knows has been applied."""
    heads = set(ScriptDirectory.from_config(_config()).get_heads())
    return set(MigrationContext.configure(connection).get_current_heads()) == heads


def main() -> None:
    """Run from the command line, on the database that the settings name."""
    from shared.logs import start_logging  # noqa: PLC0415 - only when run as a program
    from shared.settings import read_settings  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m shared.db.migrate", description=__doc__)
    parser.add_argument(
        "action", nargs="?", default="upgrade", choices=("upgrade", "downgrade", "check")
    )
    parser.add_argument("revision", nargs="?", help="a revision, head or base")
    arguments = parser.parse_args()
    try:
        settings = read_settings()
        start_logging(settings.log_level, settings.log_format)
        database = open_database(settings.database_url.get_secret_value(), answer_seconds=3600)
        if arguments.action == "check":
            raise SystemExit(0 if database.read(is_current) else "the tables are not up to date")
        if arguments.action == "upgrade":
            upgrade(database, arguments.revision or "head")
        else:
            downgrade(database, arguments.revision or "-1")
        log.info("migrated", extra={"action": arguments.action})
    except DryBeansError as error:
        raise SystemExit(f"migrate: {error.detail}") from None
    except DBAPIError as error:
        # The driver's own words name server, user and reason, and never the password.
        raise SystemExit(f"migrate: {error.orig}") from None


if __name__ == "__main__":
    main()
