"""The running service, on SQLite and on each real server in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service
from tests.servers import RedisServer
from tests.servers.schema import create_database, drop_database


@pytest.fixture(scope="session", params=["embedded", "mariadb", "mysql"])
def service(request: pytest.FixtureRequest, server_folder: Path) -> Iterator[Service]:
    """All parts, running: with what they embed, and on a real database and Redis."""
    folder = server_folder / f"up-{request.param}"
    if request.param == "embedded":
        yield from _run(Service(folder))
        return
    database = create_database(request.getfixturevalue(request.param))
    # Not the one that other tests flush and publish to.
    with RedisServer(folder / "redis") as redis:
        given = {"DRYBEANS_DATABASE_URL": database, "DRYBEANS_REDIS_URL": redis.url}
        yield from _run(Service(folder, given))
    drop_database(database)


def _run(service: Service) -> Iterator[Service]:
    service.start()
    yield service
    service.stop()
