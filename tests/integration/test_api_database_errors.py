"""What the API says when the database refuses: the true reason, and nothing of the driver's."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pymysql import connect
from sqlalchemy import make_url
from werkzeug.test import TestResponse

from shared.db.engine import open_database
from shared.db.migrate import upgrade
from tests.chaos.mysql_proxy import MySQLProxy, ServerError
from tests.servers import MariaDBServer, ServerMissing
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN
from worker.models.loader import ModelLoader

SENTENCES = {
    "database_down": "The database does not answer; nothing was accepted, so try again shortly.",
    "database_busy": (
        "The database is busy with other changes; nothing was accepted, so try again shortly."
    ),
    "database_unwritable": (
        "The database stores nothing, because it is full or read-only; nothing was accepted."
    ),
    "database_login_refused": (
        "The database refuses the login or the rights of this service; nothing was accepted."
    ),
}


@pytest.fixture(scope="module")
def mariadb_server(server_folder: Path) -> Iterator[MariaDBServer]:
    """A MariaDB of this module alone, with `plain`, a user whom read_only and limits concern."""
    server = MariaDBServer(server_folder / "refusals")
    try:
        server.start()
    except ServerMissing as error:
        pytest.skip(f"NOT TESTED: MariaDB: {error}")
    database = open_database(server.url)
    upgrade(database)
    database.close()
    command(server, "CREATE USER plain IDENTIFIED BY 'plain'")
    command(server, "GRANT ALL ON drybeans.* TO plain")
    yield server
    server.stop()


def command(server: MariaDBServer, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as the server's operator."""
    operator = connect(unix_socket=f"{server.folder}/s.sock", user="root", autocommit=True)
    with operator, operator.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def end_connections(server: MariaDBServer) -> None:
    """End the connections of `plain`, so that new ones are opened."""
    command(server, "KILL HARD CONNECTION USER plain")


@pytest.fixture
def service(
    mariadb_server: MariaDBServer, redis_url: str, models: ModelLoader
) -> Iterator[Service]:
    """A service that is `plain` to the server, which has been changed back at its end."""
    url = make_url(mariadb_server.url).set(username="plain", password="plain")
    service = Service(url.render_as_string(hide_password=False), redis_url, models=models)
    assert submit(service).status_code == 202
    yield service
    service.stop()
    command(mariadb_server, "SET GLOBAL read_only = 0, max_connections = 151")
    command(mariadb_server, "ALTER USER plain IDENTIFIED BY 'plain' WITH MAX_USER_CONNECTIONS 0")


def submit(service: Service) -> TestResponse:
    """POST a job of one bean."""
    return service.client.post("/jobs", json={"instances": [BEAN]})


def assert_refused(response: TestResponse, code: str) -> None:
    """Check the whole document."""
    assert response.get_json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "code": code,
        "detail": SENTENCES[code],
        "errors": [],
    }
    assert int(response.headers["Retry-After"]) > 0


def test_a_read_only_server_is_said_to_store_nothing(
    service: Service, mariadb_server: MariaDBServer
) -> None:
    """Jobs can still be looked at; the service is not ready, and is again by itself."""
    job = submit(service).get_json()["id"]
    command(mariadb_server, "SET GLOBAL read_only = 1")

    assert_refused(submit(service), "database_unwritable")
    assert service.client.get(f"/jobs/{job}").status_code == 200
    assert_refused(service.client.post(f"/jobs/{job}/cancel"), "database_unwritable")
    assert service.client.get("/readyz").status_code == 503

    command(mariadb_server, "SET GLOBAL read_only = 0")
    wait_for(lambda: submit(service).status_code == 202, every=0.1)


def test_a_rotated_password_is_a_refused_login(
    service: Service, mariadb_server: MariaDBServer
) -> None:
    """Not a mistake of ours, and not a reason to show the user's name."""
    command(mariadb_server, "ALTER USER plain IDENTIFIED BY 'rotated'")
    end_connections(mariadb_server)

    wait_for(lambda: submit(service).get_json().get("code") == "database_login_refused", every=0.1)

    assert_refused(submit(service), "database_login_refused")
    assert_refused(service.client.get("/jobs"), "database_login_refused")
    assert service.client.get("/readyz").status_code == 503


def test_a_limit_of_connections_is_a_database_that_is_away(
    service: Service, mariadb_server: MariaDBServer
) -> None:
    """1226, as a busy provider answers."""
    command(mariadb_server, "ALTER USER plain WITH MAX_USER_CONNECTIONS 1")
    end_connections(mariadb_server)
    other = connect(host="127.0.0.1", port=mariadb_server.port, user="plain", password="plain")

    with other:
        wait_for(lambda: submit(service).get_json().get("code") == "database_down", every=0.1)
        assert_refused(submit(service), "database_down")


def test_a_foreign_lock_is_busy_and_not_down(
    service: Service, mariadb_server: MariaDBServer
) -> None:
    """A cancel that waits for it in vain changes nothing and says so."""
    job = submit(service).get_json()["id"]
    holder = connect(
        host="127.0.0.1", port=mariadb_server.port, user="plain", password="plain",
        database="drybeans",
    )  # fmt: skip
    with holder, holder.cursor() as cursor:
        cursor.execute("SELECT id FROM jobs WHERE id = %s FOR UPDATE", [job])
        response = service.client.post(f"/jobs/{job}/cancel")
        holder.rollback()

    assert_refused(response, "database_busy")
    assert service.client.post(f"/jobs/{job}/cancel").status_code == 200


def test_a_foreign_lock_that_ends_in_time_is_only_waited_for(
    service: Service, mariadb_server: MariaDBServer
) -> None:
    """Longer than one lock wait of the server."""
    job = submit(service).get_json()["id"]
    holder = connect(
        host="127.0.0.1", port=mariadb_server.port, user="plain", password="plain",
        database="drybeans",
    )  # fmt: skip
    with holder, holder.cursor() as cursor:
        cursor.execute("SELECT id FROM jobs WHERE id = %s FOR UPDATE", [job])
        end = threading.Timer(1.2, holder.rollback)
        end.start()
        response = service.client.post(f"/jobs/{job}/cancel")
        end.join()

    assert response.status_code in {200, 503}
    assert response.get_json().get("code", "database_busy") == "database_busy"


INJECTED = {
    1114: "database_unwritable",
    1021: "database_unwritable",
    1290: "database_unwritable",
    1836: "database_unwritable",
    1142: "database_login_refused",
    1045: "database_login_refused",
    1203: "database_down",
    1226: "database_down",
    3024: "database_down",
    3032: "database_down",
    3100: "database_down",
    9001: "database_down",
    1205: "database_busy",
    1213: "database_busy",
    3101: "database_busy",
}


@pytest.fixture
def harmed(
    mariadb_server: MariaDBServer, redis_url: str, models: ModelLoader
) -> Iterator[tuple[Service, MySQLProxy]]:
    """A service behind a proxy that answers with errors."""
    with MySQLProxy(mariadb_server.port) as proxy:
        url = make_url(mariadb_server.url).set(port=proxy.port)
        service = Service(url.render_as_string(hide_password=False), redis_url, models=models)
        yield service, proxy
        proxy.heal()
        service.stop()


@pytest.mark.parametrize("number", INJECTED)
def test_every_error_that_passes_is_503_with_its_own_sentence(
    harmed: tuple[Service, MySQLProxy], number: int
) -> None:
    """When inserting and when reading, without a word of the server's."""
    service, proxy = harmed
    job = submit(service).get_json()["id"]
    error = ServerError(number, "secret words of the server")

    proxy.fail_statements(b"INSERT INTO", error)
    inserted = submit(service)
    proxy.heal()
    proxy.fail_statements(b"SELECT jobs.", error)
    read = service.client.get(f"/jobs/{job}")

    assert_refused(inserted, INJECTED[number])
    assert_refused(read, INJECTED[number])


@pytest.mark.parametrize("number", [1054, 1064, 1146, 1264, 1366, 1406, 4095])
def test_what_does_not_pass_is_a_mistake_of_ours_and_tells_nothing(
    harmed: tuple[Service, MySQLProxy], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """500 with nothing inside; the log has the server's words, and no row."""
    service, proxy = harmed
    submit(service)
    proxy.fail_statements(b"INSERT INTO", ServerError(number, "words of the server", "42000"))

    application = service.client.application
    # The checked client takes a 500 for a mistake, which it is.
    application.test_client_class = FlaskClient
    response = application.test_client().post("/jobs", json={"instances": [BEAN]})

    assert response.get_json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal_error",
        "detail": (
            "Internal server error. The log has the details under this response's X-Request-ID."
        ),
        "errors": [],
    }
    assert "words of the server" in caplog.text
    assert "drybeans@" not in response.text
    assert str(BEAN[0]) not in caplog.text
