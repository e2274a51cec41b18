"""SIGTERM at any moment of a start ends a process at once, also as the first process of a pod."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest

from tests.servers import free_port
from tests.servers.reaper import end_with_this_process
from tests.unit.test_dockerfiles import last

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

_ROOT: Final = Path(__file__).parents[2]
# Generous: what loses the signal never ends.
_STOP_SECONDS: Final = 60.0
_START_SECONDS: Final = 300.0
_STEP: Final = 0.1
# The most starts of one part. A start that takes longer is divided into as many steps.
_MAX_STEPS: Final = 12
# Before Python runs any code, SIGTERM has its default action, which tini reports like a shell.
_ENDED_BY_SIGTERM: Final = 128 + signal.SIGTERM
_COMMANDS: Final = {
    "api": ("api", json.loads(last("api", "CMD"))),
    "worker": ("worker", json.loads(last("worker", "CMD"))),
    "sweeper": ("worker", ["python", "-m", "worker.sweep"]),
}


class FirstProcess:
    """A command as process 1 of a PID namespace, as a container runs it."""

    def __init__(self, image: str, command: list[str], environment: dict[str, str]) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        words = [*json.loads(last(image, "ENTRYPOINT")), *command]
        self._around = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--", *words],
            env=kept | environment | {"PATH": path},
            cwd=_ROOT,
            # A process group of its own: what ends it at the end must not end the tests.
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end_with_this_process(self._around.pid)

    def terminate(self) -> None:
        """Send SIGTERM to process 1 of the namespace."""
        while not (children := psutil.Process(self._around.pid).children()):
            assert self._around.poll() is None
        children[0].terminate()

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self._around.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """End the namespace and everything in it."""
        self._around.kill()
        self._around.wait()


@contextmanager
def first_process(
    image: str, command: list[str], environment: dict[str, str]
) -> Iterator[FirstProcess]:
    """Run a command as process 1 and leave nothing of it behind."""
    process = FirstProcess(image, command, environment)
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
def environment(tmp_path: Path, redis_url: str) -> dict[str, str]:
    """Settings with a database file of its own."""
    return {
        "DRYBEANS_DATABASE_URL": f"sqlite:///{tmp_path / 'drybeans.db'}",
        "DRYBEANS_REDIS_URL": redis_url,
        "DRYBEANS_MODEL_ROOT": str(_ROOT / "model_artifacts"),
        "DRYBEANS_HEARTBEAT_FILE": str(tmp_path / "alive"),
        "DRYBEANS_PORT": str(free_port()),
        "DRYBEANS_WORKERS": "1",
    }


def has_started(part: str, environment: dict[str, str]) -> bool:
    """Return whether a part does its work: the API responds, the others report a heartbeat."""
    if part != "api":
        return Path(environment["DRYBEANS_HEARTBEAT_FILE"]).exists()
    try:
        return httpx.get(f"http://127.0.0.1:{environment['DRYBEANS_PORT']}/healthz").is_success
    except httpx.TransportError:
        return False


def _poll(condition: Callable[[], bool]) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < _START_SECONDS
        time.sleep(_STEP / 2)
    return time.monotonic() - begun


@pytest.fixture(autouse=True)
def _programs() -> None:
    entrypoint = json.loads(last("api", "ENTRYPOINT"))[0]
    if shutil.which(entrypoint) is None or shutil.which("unshare") is None:
        pytest.skip("NOT TESTED: SIGTERM as the first process: there is no tini or no unshare")
    if subprocess.run(
        ["unshare", "--pid", "--fork", "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("NOT TESTED: SIGTERM as the first process: unshare is not permitted here")


@pytest.mark.parametrize("part", _COMMANDS)
def test_sigterm_ends_a_start_at_any_moment(part: str, environment: dict[str, str]) -> None:
    """After each step of a start, with success; none waits for its grace period to end."""
    image, command = _COMMANDS[part]
    with first_process(image, command, environment) as process:
        taken = _poll(lambda: has_started(part, environment))
        process.terminate()
        assert process.wait() == 0
    steps = min(_MAX_STEPS, int(taken / _STEP) + 1)

    for step in range(steps):
        with first_process(image, command, environment) as process:
            time.sleep((step + 1) * taken / steps)
            process.terminate()

            assert process.wait() in {0, _ENDED_BY_SIGTERM}, f"step {step} of {steps}"


def test_an_interrupted_migration_is_no_success(environment: dict[str, str]) -> None:
    """A Job or a container that reports success would let the API start without its tables."""
    command = ["python", "-m", "shared.db.migrate"]
    for step in range(5):
        with first_process("api", command, environment) as process:
            time.sleep(step * _STEP)
            process.terminate()

            assert process.wait() == _ENDED_BY_SIGTERM


@pytest.mark.parametrize("image", ["api", "worker"])
def test_the_image_installs_what_starts_its_command(image: str) -> None:
    """The entry point is a program of a package that the Dockerfile installs."""
    text = (_ROOT / f"Dockerfile.{image}").read_text()
    program = Path(json.loads(last(image, "ENTRYPOINT"))[0]).name

    assert re.search(rf"apt-get install .*\b{program}\b", text)
