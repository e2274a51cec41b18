"""The file of an SQLite database, as it is made, opened by many at once, and moved away."""

import multiprocessing
import stat
from pathlib import Path

import pytest
from sqlalchemy import func, select

from shared.db.engine import Database, open_database
from shared.db.migrate import upgrade
from shared.db.schema import jobs
from shared.domain.errors import DatabaseDown
from tests.factories import a_submission, submit

ROUNDS = 15
PROCESSES = 4


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """It holds rows, keys and webhooks: the file and its log."""
    file = tmp_path / "var" / "beans.db"
    database = open_database(f"sqlite:///{file}")
    upgrade(database)
    submit(database, a_submission())

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}

    assert modes == {"beans.db": 0o600, "beans.db-wal": 0o600, "beans.db-shm": 0o600}
    database.close()


def test_the_mode_of_a_file_that_is_there_is_its_operators(tmp_path: Path) -> None:
    """Who lets a group read it goes on doing so."""
    file = tmp_path / "beans.db"
    file.touch(0o640)
    file.chmod(0o640)

    database = open_database(f"sqlite:///{file}")
    upgrade(database)

    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    database.close()


def _open(url: str, start: "multiprocessing.synchronize.Barrier") -> None:
    start.wait()
    database = open_database(url)
    with database.engine.connect():
        pass
    database.close()


def test_many_processes_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    """API, workers and sweeper start together; none finds the database locked."""
    context = multiprocessing.get_context("fork")
    codes = []
    for number in range(ROUNDS):
        start = context.Barrier(PROCESSES)
        url = f"sqlite:///{tmp_path / f'{number}.db'}"
        parts = [context.Process(target=_open, args=(url, start)) for _ in range(PROCESSES)]
        for part in parts:
            part.start()
        for part in parts:
            part.join()
            codes.append(part.exitcode)

    assert codes == [0] * ROUNDS * PROCESSES


def count(database: Database) -> int:
    """Count the jobs."""
    query = select(func.count()).select_from(jobs)
    return database.read(lambda c: c.scalar(query)) or 0


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_moved_takes_no_more_jobs(tmp_path: Path, *, replaced: bool) -> None:
    """Neither the moved file nor a new one at its place; moved back it goes on."""
    file, away = tmp_path / "beans.db", tmp_path / "away.db"
    database = open_database(f"sqlite:///{file}")
    upgrade(database)
    submit(database, a_submission())
    file.rename(away)
    if replaced:
        file.touch()

    with pytest.raises(DatabaseDown):
        submit(database, a_submission())
    with pytest.raises(DatabaseDown):
        count(database)
    assert file.exists() is replaced

    away.rename(file)
    submit(database, a_submission())
    assert count(database) == 2
    database.close()
