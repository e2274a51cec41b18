"""An API whose own clock is an hour off, beside a database whose clock counts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from shared.admin.checks.clock import check_clock
from shared.admin.command import Stage
from shared.broker.heartbeats import HeartbeatStore
from shared.db.engine import Database
from shared.db.queries.inspection import read_clock
from shared.db.schema import chunks, idempotency_keys, jobs
from shared.db.sweeps.recovery import expire_jobs
from shared.domain.jobs import first_id_at
from shared.settings import Settings
from tests.api_process import ApiProcess
from tests.beans import a_csv
from tests.servers import ServerMissing
from tests.servers.clock import shifted_by
from tests.waiting import wait_for
from tests.working import BEAN

# SQLite has no clock but that of the process that asks.
pytestmark = pytest.mark.parametrize("database_url", ["mariadb", "mysql"], indirect=True)
_HOUR: Final = 3600
# So much of an upload has been read, and its first chunks stored, while the rest is yet to come.
_STORED_BYTES: Final = 3_500_000
# The machine may be slow; an hour off is an hour off all the same.
_CLOSE: Final = timedelta(minutes=20)


@pytest.fixture(params=[_HOUR, -_HOUR], ids=["ahead", "behind"])
def api(
    request: pytest.FixtureRequest, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[ApiProcess]:
    """The API as a process whose clock is an hour off."""
    try:
        wrong_clock = shifted_by(request.param, tmp_path)
    except ServerMissing as error:
        pytest.skip(f"NOT TESTED: {error}")
    settings = {
        "DRYBEANS_DATABASE_URL": database_url,
        "DRYBEANS_REDIS_URL": redis_url,
        "DRYBEANS_CHUNK_BYTES": "20000",
    }
    with ApiProcess(tmp_path / "api", settings | wrong_clock) as process:
        yield process


def post(api: ApiProcess, **options: Any) -> dict[str, Any]:
    """Submit a job, which must be accepted."""
    answer = httpx.post(f"{api.url}/jobs", timeout=300, trust_env=False, **options)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_job_gets_its_times_by_the_databases_clock(database: Database, api: ApiProcess) -> None:
    """When it was made, when it is published again, when it expires; its id sorts by it too."""
    key = {"Idempotency-Key": "one"}
    document = post(api, json={"instances": [BEAN]}, headers=key)

    now = database.read(read_clock)
    job = database.read(lambda c: c.execute(select(jobs)).one())
    again = database.read(lambda c: c.scalar(select(chunks.c.next_publish_at)))
    known = database.read(lambda c: c.scalar(select(idempotency_keys.c.created_at)))
    assert again is not None
    assert known is not None
    for moment in (job.created_at, again, known, datetime.fromisoformat(document["created_at"])):
        assert abs(moment - now) < _CLOSE
    assert abs(job.deadline_at - now - timedelta(days=1)) < _CLOSE
    assert first_id_at(now - _CLOSE) < document["id"] < first_id_at(now + _CLOSE)


def test_an_upload_has_time_to_arrive(database: Database, api: ApiProcess) -> None:
    """A sweeper finds it neither late nor never late, whatever the API's clock shows."""
    deadlines: list[datetime] = []

    def lines() -> Iterator[bytes]:
        text = a_csv(24_000).encode()
        for at in range(0, len(text), 200_000):
            yield text[at : at + 200_000]
            if at < _STORED_BYTES:
                continue
            wait_for(lambda: bool(database.read(_jobs)), 300, every=0.02)
            assert database.write(lambda c: expire_jobs(c, 10)) == []
            deadlines.append(database.read(_jobs)[0].deadline_at)

    document = post(api, content=lines(), headers={"Content-Type": "text/csv"})

    now = database.read(read_clock)
    assert document["rows"]["total"] == 24_000
    assert len(deadlines) > 1
    for deadline in deadlines:
        assert abs(deadline - now - timedelta(seconds=300)) < _CLOSE


def _jobs(connection: Any) -> Any:
    return connection.execute(select(jobs)).all()


@pytest.mark.usefixtures("api")
def test_the_doctor_names_the_process_whose_clock_is_off(
    request: pytest.FixtureRequest, database_url: str, redis_url: str
) -> None:
    """By how much, in which direction, and what to do."""
    store = HeartbeatStore(redis_url)
    wait_for(lambda: bool(store.read()), 300, every=0.1)
    (heartbeat,) = store.read()

    settings = Settings(database_url=SecretStr(database_url), redis_url=SecretStr(redis_url))
    findings = list(check_clock(Stage(settings)))

    way = "ahead of" if "ahead" in request.node.callspec.id else "behind"
    named = [f for f in findings if f.what.startswith(f"{heartbeat.name}: the clock is ")]
    (found,) = named
    assert found.level == "wrong"
    assert found.what.endswith(f" s {way} the database's.")
    seconds = float(found.what.split()[4])
    assert abs(seconds - _HOUR) < _CLOSE.total_seconds()
    assert found.cure.startswith("Synchronize both by NTP.")
