"""Commits whose response is lost: what clients are told is what happened, or that nobody knows."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import func, make_url, select, text
from sqlalchemy.engine import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from shared.db.engine import Database, open_database
from shared.db.jobs.submit import store_group
from shared.db.schema import idempotency_keys, jobs
from shared.domain.errors import CommitUncertain
from tests.chaos.mysql_proxy import Moment, MySQLProxy, ServerError
from tests.factories import OUTBOX, a_submission
from tests.servers.schema import create_database, drop_database, migrate
from tests.service import Service
from tests.working import BEAN
from worker.models.loader import ModelLoader

MANY = 1000
UNREACHABLE = ServerError(1040, "Too many connections", "08004")
_COLUMNS = (
    "Area,Perimeter,MajorAxisLength,MinorAxisLength,AspectRatio,Eccentricity,ConvexArea,"
    "EquivDiameter,Extent,Solidity,Roundness,Compactness,ShapeFactor1,ShapeFactor2,ShapeFactor3,"
    "ShapeFactor4"
)


@pytest.fixture(params=["mariadb", "mysql"])
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database without rows, on each server in turn."""
    schema = request.getfixturevalue(f"{request.param}_schema")
    schema.empty()
    return str(schema.url)


@pytest.fixture(params=["mariadb", "mysql"])
def own_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database of this test alone, all connections to which may be killed."""
    url = create_database(request.getfixturevalue(request.param))
    migrate(url)
    yield url
    drop_database(url)


@pytest.fixture
def proxy(server_url: str) -> Iterator[MySQLProxy]:
    """A proxy before the server."""
    with MySQLProxy(make_url(server_url).port or 3306) as proxy:
        yield proxy


@pytest.fixture
def database(server_url: str) -> Iterator[Database]:
    """The database itself, around the proxy."""
    opened = open_database(server_url)
    yield opened
    opened.close()


def through(proxy: MySQLProxy, server_url: str) -> str:
    """Return the URL that leads through `proxy`."""
    return make_url(server_url).set(port=proxy.port).render_as_string(hide_password=False)


@pytest.fixture
def service(
    proxy: MySQLProxy, server_url: str, redis_url: str, models: ModelLoader
) -> Iterator[Service]:
    """The API and a worker whose connections to the database are harmed."""
    service = Service(
        through(proxy, server_url), redis_url, models=models, chunk_bytes=1000, max_line_bytes=500,
        # However slow this machine is, a commit is waited for.
        database_answer_seconds=30.0,
    )  # fmt: skip
    yield service
    proxy.heal()
    service.stop()


def states(database: Database) -> dict[str, str]:
    """Read the states of all jobs by their ids."""
    query = select(jobs.c.id, jobs.c.state)
    return {row.id: row.state for row in database.read(lambda c: c.execute(query).all())}


def submit(service: Service, **headers: str) -> Any:
    """POST a job of one bean."""
    return service.client.post("/jobs", json={"instances": [BEAN]}, headers=headers)


@pytest.mark.parametrize(
    "moment, count",
    [
        *((Moment.AFTER, count) for count in (1, 2, MANY)),
        *((moment, 1) for moment in (Moment.BEFORE, Moment.HALFWAY, Moment.DURING)),
    ],
)
def test_a_job_whose_commit_was_not_answered_is_looked_for(
    service: Service, proxy: MySQLProxy, database: Database, moment: Moment, count: int
) -> None:
    """It is accepted under the id that it has, once, wherever the connection was cut."""
    proxy.cut_commits(count, moment)

    response = submit(service)

    assert response.status_code == 202
    assert states(database) == {response.get_json()["id"]: "queued"}
    proxy.heal()
    assert service.finish(response.get_json()["id"])["state"] == "succeeded"


def test_a_job_is_uncertain_where_the_database_cannot_be_asked(
    service: Service, proxy: MySQLProxy, database: Database
) -> None:
    """Its client is told so, and gets the same job under the same key afterwards."""
    proxy.cut_commits(MANY, Moment.AFTER)
    proxy.fail_statements(b"FOR UPDATE", UNREACHABLE)

    response = submit(service, **{"Idempotency-Key": "one"})

    assert response.status_code == 503
    assert response.get_json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": "commit_uncertain",
        "detail": "The job may have been accepted; send it again with the same Idempotency-Key.",
        "errors": [],
    }
    proxy.heal()
    again = submit(service, **{"Idempotency-Key": "one"})
    assert again.status_code == 202
    assert list(states(database)) == [again.get_json()["id"]]


def test_a_job_whose_commit_never_arrived_is_not_said_to_be_refused(
    service: Service, proxy: MySQLProxy, database: Database
) -> None:
    """Whether a server received it cannot be seen from here, so nothing is promised."""
    proxy.cut_commits(MANY, Moment.BEFORE)

    response = submit(service)

    assert (response.status_code, response.get_json()["code"]) == (503, "commit_uncertain")
    proxy.heal()
    assert states(database) == {}


def test_every_member_of_a_group_is_looked_for(
    proxy: MySQLProxy, server_url: str, database: Database
) -> None:
    """All are stored, and all their chunks are to be published."""
    harmed = open_database(through(proxy, server_url))
    group = [a_submission() for _ in range(3)]
    proxy.cut_commits(MANY, Moment.AFTER)

    dispatches = store_group(harmed, group, OUTBOX)

    assert {dispatch.ref.job for dispatch in dispatches} == {one.id for one in group}
    assert states(database) == {one.id: "queued" for one in group}
    harmed.close()


def test_a_group_that_cannot_be_asked_for_is_uncertain(
    proxy: MySQLProxy, server_url: str, database: Database
) -> None:
    """Also when the second attempt finds the rows of the first."""
    harmed = open_database(through(proxy, server_url))
    group = [a_submission() for _ in range(3)]
    proxy.cut_commits(1, Moment.AFTER)
    proxy.fail_statements(b"FOR UPDATE", UNREACHABLE)
    proxy.fail_statements(b"SELECT jobs.id", UNREACHABLE)

    with pytest.raises(CommitUncertain):
        store_group(harmed, group, OUTBOX)

    assert set(states(database)) == {one.id for one in group}
    harmed.close()


def test_an_upload_goes_on_when_its_commits_are_not_answered(
    service: Service, proxy: MySQLProxy, database: Database
) -> None:
    """At each of its steps: the begin, every chunk, and the end."""
    line = ",".join(map(str, BEAN))
    rows = 60
    proxy.cut_commits(MANY, Moment.AFTER)

    response = service.post("/jobs", "\n".join([_COLUMNS, *[line] * rows]))

    assert response.status_code == 202, response.text
    job = response.get_json()["id"]
    assert states(database) == {job: "queued"}
    proxy.heal()
    done = service.finish(job)
    assert (done["state"], done["rows"]["succeeded"]) == ("succeeded", rows)


def a_finished_job(service: Service) -> str:
    """Submit a job and run it."""
    job: str = submit(service).get_json()["id"]
    service.finish(job)  # type: ignore[arg-type]
    return job


def a_canceled_job(service: Service) -> str:
    """Submit a job and cancel it."""
    job: str = submit(service).get_json()["id"]
    assert service.client.post(f"/jobs/{job}/cancel").status_code == 200
    return job


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_a_cancel_that_worked_is_answered_with_the_canceled_job(
    service: Service, proxy: MySQLProxy, count: int
) -> None:
    """Not with a conflict."""
    job = submit(service).get_json()["id"]
    proxy.cut_commits(count, Moment.AFTER)

    response = service.client.post(f"/jobs/{job}/cancel")

    assert (response.status_code, response.get_json()["state"]) == (200, "canceled")


def test_a_cancel_that_is_run_again_finds_itself(service: Service, proxy: MySQLProxy) -> None:
    """Where the database could not be asked after the first attempt."""
    job = submit(service).get_json()["id"]
    proxy.cut_commits(1, Moment.AFTER)
    proxy.fail_statements(b"SELECT jobs.state \nFROM jobs", UNREACHABLE)

    response = service.client.post(f"/jobs/{job}/cancel")

    assert (response.status_code, response.get_json()["state"]) == (200, "canceled")


def test_a_cancel_is_uncertain_where_the_database_cannot_be_asked(
    service: Service, proxy: MySQLProxy, database: Database
) -> None:
    """It says what to do."""
    job = submit(service).get_json()["id"]
    proxy.cut_commits(MANY, Moment.AFTER)
    proxy.fail_statements(b"FOR UPDATE", UNREACHABLE)

    response = service.client.post(f"/jobs/{job}/cancel")

    assert (response.status_code, response.get_json()["code"]) == (503, "commit_uncertain")
    assert response.get_json()["detail"] == (
        "The job may have been canceled; fetch it before you try again."
    )
    assert states(database) == {job: "canceled"}


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_a_retry_whose_commit_was_not_answered_leaves_one_new_job(
    service: Service, proxy: MySQLProxy, database: Database, count: int
) -> None:
    """And names it."""
    job = a_canceled_job(service)
    proxy.cut_commits(count, Moment.AFTER)

    response = service.client.post(f"/jobs/{job}/retry")

    assert response.status_code == 202
    assert states(database) == {job: "canceled", response.get_json()["id"]: "queued"}


def test_an_uncertain_retry_names_the_job_to_look_for(
    service: Service, proxy: MySQLProxy, database: Database
) -> None:
    """So that its client need not make a second one."""
    job = a_canceled_job(service)
    proxy.cut_commits(MANY, Moment.BEFORE)

    response = service.client.post(f"/jobs/{job}/retry")

    assert (response.status_code, response.get_json()["code"]) == (503, "commit_uncertain")
    told = r"The retry may have been accepted as the job (\S+); fetch it before you try again\."
    named = re.fullmatch(told, response.get_json()["detail"])
    assert named
    proxy.heal()
    assert service.client.get(f"/jobs/{named[1]}").status_code == 404
    assert states(database) == {job: "canceled"}


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_a_delete_whose_commit_was_not_answered_has_deleted(
    service: Service, proxy: MySQLProxy, count: int
) -> None:
    """204 once, and 410 from then on."""
    job = a_finished_job(service)
    proxy.cut_commits(count, Moment.AFTER)

    response = service.client.delete(f"/jobs/{job}")

    assert response.status_code == 204
    assert service.client.get(f"/jobs/{job}").status_code == 410


def test_an_accepted_job_stays_accepted_when_the_database_goes_away(
    service: Service, proxy: MySQLProxy, database: Database
) -> None:
    """What is only told beside it, such as the rows that wait before it, is left out."""
    time.sleep(1.1)  # the backlog is looked at once a second
    proxy.fail_statements(b"substr", UNREACHABLE)
    proxy.fail_statements(b"sum(", UNREACHABLE)

    response = submit(service)

    assert response.status_code in {202, 503}
    assert len(states(database)) == (response.status_code == 202)


def test_what_clients_are_told_is_true_while_connections_are_killed(
    own_url: str, redis_url: str, models: ModelLoader
) -> None:
    """Accepted jobs are there, refused ones are not, and only the uncertain may be either."""
    service = Service(own_url, redis_url, models=models, database_answer_seconds=30.0)
    done = threading.Event()
    killer = threading.Thread(target=kill_connections, args=(own_url, done))
    killer.start()
    responses = {}
    try:
        for number in range(60):
            document = {"instances": [BEAN], "labels": {"number": str(number)}}
            responses[number] = service.client.post("/jobs", json=document)
    finally:
        done.set()
        killer.join()
        service.stop()

    database = open_database(own_url)
    query = select(jobs.c.labels)
    stored = [int(labels["number"]) for labels in database.read(lambda c: c.scalars(query).all())]
    database.close()
    assert len(stored) == len(set(stored))
    for number, response in responses.items():
        if response.status_code == 202:
            assert number in stored
        elif response.get_json()["code"] != "commit_uncertain":
            assert number not in stored, response.get_json()


def kill_connections(url: str, done: threading.Event) -> None:
    """Kill every other connection to the database at `url`, again and again."""
    engine = create_engine(url, poolclass=NullPool)
    others = text(
        "SELECT id FROM information_schema.processlist "
        "WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    )
    with engine.connect() as connection:
        while not done.wait(0.01):
            # One may have ended by itself, or run a statement that cannot be listed.
            with suppress(DBAPIError):
                for number in connection.scalars(others).all():
                    connection.execute(text(f"KILL CONNECTION {number}"))
    engine.dispose()


def test_a_key_is_not_left_behind_by_an_attempt_that_was_undone(
    service: Service, proxy: MySQLProxy, database: Database
) -> None:
    """The next request under it makes its job."""
    proxy.cut_commits(MANY, Moment.HALFWAY)
    assert submit(service, **{"Idempotency-Key": "one"}).status_code == 503
    proxy.heal()

    response = submit(service, **{"Idempotency-Key": "one"})

    assert response.status_code == 202
    query = select(func.count()).select_from(idempotency_keys)
    assert database.read(lambda c: c.scalar(query)) == 1
