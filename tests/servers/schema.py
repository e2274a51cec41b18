"""A migrated database for tests: made once a run, emptied before each test."""

import secrets
import shutil
from pathlib import Path

from sqlalchemy import Engine, MetaData, Table, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from shared.db.engine import open_database
from shared.db.migrate import upgrade

_VERSIONS = "alembic_version"


def create_database(server_url: str) -> str:
    """Make an empty database of a new name on a MySQL or MariaDB server; return its URL."""
    name = f"drybeans_test_{secrets.token_hex(4)}"
    _run(server_url, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def drop_database(url: str) -> None:
    """Drop the database that `url` names."""
    _run(url, f"DROP DATABASE {make_url(url).database}")


class ServerSchema:
    """The newest schema in a database of its own on a MySQL or MariaDB server."""

    def __init__(self, server_url: str) -> None:
        self.url = create_database(server_url)
        migrate(self.url)
        self._engine = create_engine(self.url)
        self._tables = _tables(self._engine)

    def empty(self) -> None:
        """Delete every row."""
        with self._engine.begin() as connection:
            # A transaction that a test left open shows here, and soon.
            connection.execute(text("SET innodb_lock_wait_timeout = 5, foreign_key_checks = 0"))
            for table in self._tables:
                connection.execute(table.delete())

    def drop(self) -> None:
        """Drop the database."""
        self._engine.dispose()
        drop_database(self.url)


class SqliteSchema:
    """The newest schema in a file that is copied for each test."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        migrate(f"sqlite:///{self._file}")

    def copy_to(self, folder: Path) -> str:
        """Copy the file into `folder`; return the copy's URL."""
        return f"sqlite:///{shutil.copy(self._file, folder / 'drybeans.db')}"


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema."""
    database = open_database(url, answer_seconds=60)
    upgrade(database)
    database.close()


def _tables(engine: Engine) -> list[Table]:
    schema = MetaData()
    schema.reflect(engine)
    return [table for table in schema.tables.values() if table.name != _VERSIONS]


def _run(url: str, statement: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement))
