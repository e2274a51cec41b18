"""Uploads over real connections to a real gunicorn: broken off, slow, killed, large."""

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import Connection, Table, func, select

from shared.db.engine import Database
from shared.db.schema import inputs, jobs, results
from shared.settings import Settings
from tests.api_process import ApiProcess, answer_on, as_http_chunk
from tests.beans import a_csv, names
from tests.factories import purge_all
from tests.service import in_parts
from worker.sweeper.runner import new_sweep

COUNT: Final = 16_000
PARTS: Final = in_parts(a_csv(COUNT), each=100_000)
LENGTH: Final = sum(map(len, PARTS))
HALF: Final = len(PARTS) // 2
MIB: Final = 1 << 20


@pytest.fixture
def settings(database_url: str, redis_url: str) -> dict[str, str]:
    """The API's settings: chunks small enough for an upload to have many."""
    return {
        "DRYBEANS_DATABASE_URL": database_url,
        "DRYBEANS_REDIS_URL": redis_url,
        "DRYBEANS_CHUNK_BYTES": "10000",
        "DRYBEANS_UPLOAD_PATIENCE_SECONDS": "2",
    }


@pytest.fixture
def api(settings: dict[str, str], tmp_path: Path) -> Iterator[ApiProcess]:
    """gunicorn, running."""
    process = ApiProcess(tmp_path / "api", settings)
    process.start()
    yield process
    process.stop()


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that happens by itself."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def the_job(database: Database) -> Any:
    """Read the only job, or None when there is none yet."""
    return database.read(lambda c: c.execute(select(jobs)).one_or_none())


def in_state(database: Database, state: str) -> Callable[[], bool]:
    """Return whether the only job is in `state`."""
    return lambda: getattr(the_job(database), "state", None) == state


def rows_kept(database: Database) -> list[int]:
    """Count the inputs and results in the database."""
    return [database.read(partial(count_rows, table=table)) for table in (inputs, results)]


def count_rows(connection: Connection, table: Table) -> int:
    """Count the rows of a table."""
    return connection.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize("length", [LENGTH, None], ids=["Content-Length", "chunked"])
def test_a_whole_upload_is_accepted(
    api: ApiProcess, database: Database, length: int | None
) -> None:
    """Both ways of saying where a body ends."""
    with api.upload(PARTS, length=length) as connection:
        if length is None:
            connection.sendall(as_http_chunk(b""))
        assert answer_on(connection).startswith(b"HTTP/1.1 202 ")

    assert the_job(database).rows_total == COUNT


@pytest.mark.parametrize("length", [LENGTH, None], ids=["Content-Length", "chunked"])
def test_a_connection_that_is_closed_midway_cancels_its_job(
    api: ApiProcess, database: Database, length: int | None
) -> None:
    """At once, and with nothing left of it; half a file must not pass for the whole."""
    with api.upload(PARTS[:HALF], length=length):
        until(in_state(database, "receiving"))

    until(in_state(database, "canceled"))
    assert the_job(database).error_code == "upload_incomplete"
    assert the_job(database).rows_total == 0
    purge_all(database)
    assert rows_kept(database) == [0, 0]


def test_a_client_that_stops_sending_but_listens_is_told(api: ApiProcess) -> None:
    """It said how much there would be; 400 and the reason."""
    with api.upload(PARTS[:HALF], length=LENGTH) as connection:
        connection.shutdown(1)
        answer = answer_on(connection)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"upload_incomplete"' in answer


def test_a_chunk_that_is_cut_off_cancels_its_job(api: ApiProcess, database: Database) -> None:
    """The framing breaks, not only the CSV."""
    with api.upload(PARTS[:HALF], length=None) as connection:
        until(in_state(database, "receiving"))
        connection.sendall(as_http_chunk(PARTS[HALF])[:1000])

    until(in_state(database, "canceled"))
    assert the_job(database).error_code == "upload_incomplete"


def test_an_api_that_is_killed_midway_leaves_a_job_that_the_sweep_fails(
    api: ApiProcess, database: Database, settings: dict[str, str]
) -> None:
    """Nobody else knows that the rest will never come; the sweep waits so long and no longer."""
    sweep = new_sweep(Settings(**_named(settings)))
    with api.upload(PARTS[:HALF], length=LENGTH):
        until(in_state(database, "receiving"))
        until(lambda: rows_kept(database)[0] > 2)
        api.kill()
    sweep()
    assert the_job(database).state == "receiving"

    def swept() -> bool:
        sweep()
        return in_state(database, "failed")()

    until(swept)
    assert the_job(database).error_code == "upload_incomplete"
    assert the_job(database).rows_total == 0
    purge_all(database)
    assert rows_kept(database) == [0, 0]


def _named(settings: dict[str, str]) -> dict[str, Any]:
    return {name.removeprefix("DRYBEANS_").lower(): value for name, value in settings.items()}


def test_an_upload_that_is_slow_is_no_broken_one(
    api: ApiProcess, database: Database, settings: dict[str, str]
) -> None:
    """The sweep's patience begins anew with every chunk that arrives."""
    sweep = new_sweep(Settings(**_named(settings)))
    with api.upload(PARTS[:2], length=LENGTH) as connection:
        for part in PARTS[2:]:
            connection.sendall(part)
            time.sleep(2.5 / len(PARTS))
            sweep()
        assert answer_on(connection).startswith(b"HTTP/1.1 202 ")

    assert the_job(database).state == "queued"


def test_other_requests_are_answered_while_an_upload_goes_on(
    api: ApiProcess, database: Database
) -> None:
    """Many uploads that dribble, and one process that answers them all."""
    uploads = [api.upload(PARTS[:1], length=LENGTH) for _ in range(20)]
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        small = client.post("/jobs", content=a_csv(1), headers={"Content-Type": "text/csv"})
        assert small.status_code == 202
    for upload in uploads:
        upload.close()
    assert database.read(partial(count_rows, table=jobs)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_apis_memory_does_not_grow_with_an_upload(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """A hundred MiB pass through it in chunks of four; a large file costs what a small one does."""
    kept = {name: settings[name] for name in settings if "CHUNK" not in name}
    chance = random.Random(6)
    rows = [",".join(f"{chance.uniform(0, 1000):.6f}" for _ in names()) for _ in range(2000)]
    part = ("\n".join(rows) + "\n").encode()
    with ApiProcess(tmp_path / "api", kept) as api:
        with api.upload([a_csv(1).encode()], length=None) as connection:
            connection.sendall(as_http_chunk(b""))
            answer_on(connection)
        idle = peak(api)
        many = 100 * MIB // len(part)
        with api.upload([(",".join(names()) + "\n").encode()], length=None) as connection:
            for _ in range(many):
                connection.sendall(as_http_chunk(part))
            connection.sendall(as_http_chunk(b""))
            assert answer_on(connection).startswith(b"HTTP/1.1 202 ")
        grown = peak(api) - idle
    assert grown < 60 * MIB


def peak(api: ApiProcess) -> int:
    """Return the most memory that the process which answers has ever held, in bytes."""
    status = Path(f"/proc/{api.processes()[-1].pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
