"""Redis or the database away: what is still accepted, what is refused, and how soon."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from shared.db.engine import open_database
from shared.db.migrate import upgrade
from tests.servers import MariaDBServer, RedisServer, ServerMissing
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN
from worker.models.loader import ModelLoader
from worker.sweeper.runner import new_sweep


def submit(service: Service) -> TestResponse:
    """POST a job of one bean."""
    return service.client.post("/jobs", json={"instances": [BEAN]})


@pytest.fixture
def lone(database_url: str, redis_server: RedisServer, models: ModelLoader) -> Iterator[Service]:
    """A service on a Redis of its own, which republishes what was not claimed after 0.1 s."""
    service = Service(database_url, redis_server.url, models=models, republish_seconds=0.1)
    yield service
    service.stop()


def test_jobs_are_accepted_while_redis_is_down(lone: Service, redis_server: RedisServer) -> None:
    """None of them waits for Redis; once it is back, the sweep publishes all of them."""
    sweep = new_sweep(lone.settings)
    redis_server.kill()

    answers = [submit(lone) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [202] * 5
    assert not sweep()

    redis_server.start()
    wait_for(sweep, every=0.05)
    lone.work()
    for answer in answers:
        assert lone.job(answer.get_json()["id"])["state"] == "succeeded"
    sweep.database.close()


def test_jobs_are_accepted_while_redis_hangs(lone: Service, redis_server: RedisServer) -> None:
    """A Redis that takes connections and never answers holds no request up."""
    assert submit(lone).status_code == 202
    redis_server.freeze()

    try:
        answers = [submit(lone) for _ in range(5)]
        ready = lone.client.get("/readyz")
    finally:
        redis_server.thaw()

    assert [answer.status_code for answer in answers] == [202] * 5
    assert (ready.status_code, ready.get_json()["status"]) == (200, "degraded")


def test_a_flushed_redis_is_noticed(
    database_url: str, redis_server: RedisServer, models: ModelLoader
) -> None:
    """What waited there is published again at once, however long it would still have had."""
    service = Service(database_url, redis_server.url, models=models, republish_seconds=3600)
    sweep = new_sweep(service.settings)
    sweep()
    job = submit(service).get_json()["id"]
    redis_server.restart()

    wait_for(sweep, every=0.05)
    service.work()

    assert service.job(job)["state"] == "succeeded"
    service.stop()
    sweep.database.close()


@pytest.fixture(scope="module")
def mariadb_server(server_folder: Path) -> Iterator[MariaDBServer]:
    """A MariaDB of this module alone, migrated, to be frozen and killed."""
    server = MariaDBServer(server_folder / "outages")
    try:
        server.start()
    except ServerMissing as error:
        pytest.skip(f"NOT TESTED: MariaDB: {error}")
    database = open_database(server.url)
    upgrade(database)
    database.close()
    yield server
    server.stop()


@pytest.fixture
def on_mariadb(
    mariadb_server: MariaDBServer, redis_url: str, models: ModelLoader
) -> Iterator[Service]:
    """A service on the MariaDB that may be broken."""
    service = Service(mariadb_server.url, redis_url, models=models)
    yield service
    service.stop()


CALLS: dict[str, Callable[[Service, dict[str, Any]], TestResponse]] = {
    "submit": lambda service, _: submit(service),
    "look": lambda service, job: service.client.get(job["links"]["self"]),
    "results": lambda service, job: service.client.get(job["links"]["results"]),
    "predict": lambda service, _: service.client.post("/predict", json={"data": [BEAN]}),
    "ready": lambda service, _: service.client.get("/readyz"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_database_that_hangs_is_told_within_two_seconds(
    on_mariadb: Service, mariadb_server: MariaDBServer, call: str
) -> None:
    """503 and when to try again, also when many ask at once; afterwards all is well."""
    job = submit(on_mariadb).get_json()
    mariadb_server.freeze()

    try:
        first = CALLS[call](on_mariadb, job)
        second = CALLS[call](on_mariadb, job)
    finally:
        mariadb_server.thaw()

    for answer in (first, second):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    wait_for(lambda: submit(on_mariadb).status_code == 202, every=0.1)


@pytest.mark.parametrize("call", CALLS)
def test_a_database_that_is_gone_is_told_at_once(
    on_mariadb: Service, mariadb_server: MariaDBServer, call: str
) -> None:
    """503; when it is back, the service finds it by itself and nothing is missing."""
    job = submit(on_mariadb).get_json()
    mariadb_server.kill()

    try:
        answer = CALLS[call](on_mariadb, job)
    finally:
        mariadb_server.start()

    assert answer.status_code == 503
    wait_for(lambda: submit(on_mariadb).status_code == 202, every=0.1)
    assert on_mariadb.finish(job["id"])["state"] == "succeeded"


def test_a_refusal_for_want_of_a_database_tells_no_secret(
    on_mariadb: Service, mariadb_server: MariaDBServer
) -> None:
    """Neither user nor address nor password."""
    mariadb_server.kill()
    try:
        answer = submit(on_mariadb)
    finally:
        mariadb_server.start()

    assert answer.get_json()["code"] == "database_down"
    assert str(mariadb_server.port) not in answer.text
    assert "drybeans@" not in answer.text


def test_a_locked_sqlite_is_told_within_two_seconds(
    tmp_path: Path, redis_url: str, models: ModelLoader
) -> None:
    """Another program that holds the file is an outage like any other; looking still works."""
    file = tmp_path / "beans.db"
    database = open_database(f"sqlite:///{file}")
    upgrade(database)
    database.close()
    service = Service(f"sqlite:///{file}", redis_url, models=models)
    job = submit(service).get_json()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    answer = submit(service)
    look = service.client.get(job["links"]["self"])
    other.execute("ROLLBACK")
    other.close()

    assert (answer.status_code, answer.get_json()["code"]) == (503, "commit_uncertain")
    assert look.status_code == 200
    wait_for(lambda: submit(service).status_code == 202, every=0.1)
    service.stop()
