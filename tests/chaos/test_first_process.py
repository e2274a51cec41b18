"""Each part as process 1 of a namespace, as in a container: SIGTERM ends it in good order."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.parts import Part
from tests.chaos.stage import API_COMMAND, await_ready, parts_environment, python
from tests.servers import MariaDBServer, free_port
from tests.servers.schema import create_database, drop_database, migrate

ALONE = ("unshare", "--pid", "--fork", "--mount-proc")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def environment(mortal: MariaDBServer, redis_url: str) -> Iterator[dict[str, str]]:
    """The settings of a part on real servers."""
    if not shutil.which(ALONE[0]):
        pytest.skip("NOT TESTED: process 1: there is no unshare on this machine")
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: process 1: this machine makes no namespaces")
    url = create_database(mortal.url)
    migrate(url)
    yield parts_environment(url, redis_url, {"DRYBEANS_PORT": str(free_port())})
    drop_database(url)


@pytest.mark.parametrize(
    "name, words, ready",
    [
        ("api", API_COMMAND, ""),
        ("worker", ("-m", "worker.main"), " ready."),
        ("sweeper", ("-m", "worker.sweep"), "sweeper_starts"),
    ],
)
def test_sigterm_ends_a_part_that_is_process_1(
    name: str, words: tuple[str, ...], ready: str, environment: dict[str, str], folder: Path
) -> None:
    """The kernel gives process 1 no default actions: without a handler SIGTERM would do nothing."""
    part = Part(name, [*ALONE, *python(*words)], environment, folder)
    part.start()
    try:
        if ready:
            part.await_word(ready)
        else:
            await_ready(f"http://127.0.0.1:{environment['DRYBEANS_PORT']}")
        (first,) = part.children()
        inside = psutil.Process(first).children(recursive=True)

        os.kill(first, signal.SIGTERM)

        assert part.wait(20) == 0
        assert [child for child in inside if child.is_running()] == []
    finally:
        part.kill()
