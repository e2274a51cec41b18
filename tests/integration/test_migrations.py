"""Migrations: up, down and up again, to exactly the tables that the code expects."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from shared.db.engine import Database, open_database
from shared.db.migrate import downgrade, is_current, upgrade
from shared.db.schema import jobs, metadata
from tests.factories import a_submission, submit


@pytest.fixture
def blank(blank_database_url: str) -> Iterator[Database]:
    """An open database without tables, on each kind of database in turn."""
    database = open_database(blank_database_url, answer_seconds=60)
    yield database
    database.close()


def tables_of(database: Database) -> set[str]:
    """Name the tables that there are."""
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def views_of(database: Database) -> set[str]:
    """Name the views that there are."""
    return set(inspect(database.engine).get_view_names())


def test_a_database_goes_up_and_down_and_up_again(blank: Database) -> None:
    """Nothing is left below, and everything is there again above."""
    upgrade(blank)
    assert tables_of(blank) == set(metadata.tables)
    assert views_of(blank) == {"predictions"}

    downgrade(blank, "base")
    assert tables_of(blank) == views_of(blank) == set()

    upgrade(blank)
    assert tables_of(blank) == set(metadata.tables)
    submit(blank, a_submission())


def test_the_tables_are_those_that_the_code_expects(database: Database) -> None:
    """Alembic, asked to compare the two, finds nothing to do."""

    def differences(connection: Any) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert database.write(differences) == []


def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    """Every start of every part may run it."""
    submit(database, a_submission())

    upgrade(database)

    assert database.read(lambda c: len(c.execute(jobs.select()).all())) == 1


def test_two_parts_may_upgrade_at_the_same_time(blank_database_url: str) -> None:
    """One waits for the other; both come out well."""
    databases = [open_database(blank_database_url, answer_seconds=60) for _ in range(3)]

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(upgrade, databases))

    assert all(database.read(is_current) for database in databases)
    for database in databases:
        database.close()


def test_a_database_knows_whether_it_is_current(blank: Database) -> None:
    """A part can refuse to start on older tables."""
    assert not blank.read(is_current)
    upgrade(blank)
    assert blank.read(is_current)
    downgrade(blank, "base")
    assert not blank.read(is_current)


def test_times_are_kept_to_the_microsecond_in_utc(database: Database) -> None:
    """On every database, whatever the zone of its server."""
    job = a_submission()
    submit(database, job)

    stored = database.read(lambda c: c.execute(jobs.select()).one())

    assert job.created_at.microsecond
    assert stored.created_at == job.created_at
    assert stored.created_at.tzinfo is not None


def test_servers_keep_text_of_any_language_in_innodb(database: Database) -> None:
    """Whatever the server's own defaults are."""
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has neither engines nor character sets")
    rows = database.read(
        lambda c: c.execute(
            text(
                "SELECT table_name, engine, table_collation FROM information_schema.tables "
                "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' "
                "AND table_name <> 'alembic_version'"
            )
        ).all()
    )

    assert {row[0] for row in rows} == set(metadata.tables)
    assert {(row[1], row[2]) for row in rows} == {("InnoDB", "utf8mb4_bin")}


def migrate(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
    return subprocess.run(
        [sys.executable, "-m", "shared.db.migrate", *arguments],
        env=kept | {"DRYBEANS_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_upgrades_checks_and_downgrades(blank_database_url: str) -> None:
    """`check` says by its exit code whether the tables are up to date."""
    assert migrate(blank_database_url, "check").returncode == 1
    assert migrate(blank_database_url).returncode == 0
    assert migrate(blank_database_url, "check").returncode == 0
    assert migrate(blank_database_url, "downgrade", "base").returncode == 0
    assert migrate(blank_database_url, "check").returncode == 1


def test_the_command_says_in_a_sentence_that_the_database_is_down() -> None:
    """Without a traceback, and without the password."""
    done = migrate("mysql+pymysql://bean:hunter2@127.0.0.1:1/drybeans")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    assert done.stderr.startswith("migrate: ")
