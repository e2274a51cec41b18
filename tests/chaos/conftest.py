"""Servers that a test may kill, and rows whose labels scikit-learn has told."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.beans import Beans, some_beans
from tests.servers import MariaDBServer, RedisServer, ServerMissing


@pytest.fixture(scope="session")
def mortal(server_folder: Path) -> Iterator[MariaDBServer]:
    """A running MariaDB of our own, to be killed and restarted."""
    server = MariaDBServer(server_folder / "mortal")
    try:
        RedisServer(server_folder / "unused").command()
        server.start()
    except ServerMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"NOT TESTED: {error}", pytrace=False)
        pytest.skip(f"NOT TESTED: faults: {error}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def beans() -> Beans:
    """Rows to send."""
    return some_beans(1500)


@pytest.fixture
def folder(server_folder: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for the logs of the parts; short, for the sockets in it."""
    made = server_folder / f"chaos-{abs(hash(request.node.name)) % 10**8}"
    made.mkdir()
    return made
