"""A design as it runs: its processes, started together and stopped by pid."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, Self

import psutil

from tests.servers.reaper import end_with_this_process

ROOT: Final = Path(__file__).parents[1]
MODELS: Final = Path(os.environ.get("DRYBEANS_MODEL_ROOT", ROOT / "model_artifacts"))
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
# Whatever tunes BLAS here is taken away from all sides, so that a run can be repeated elsewhere.
_BLAS: Final = ("OPENBLAS_", "NVPL_", "MKL_", "OMP_", "GOTO_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The processes of one design, and what is measured of them.

    `commands` are Python's arguments for each process; the one called `api` listens on `port`.
    Their logs go into `folder`.
    """

    name: str
    folder: Path
    port: int
    database_url: str
    environment: Mapping[str, str]
    commands: Mapping[str, Sequence[str]]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def roots(self) -> dict[str, psutil.Process]:
        """The running processes by name; their children belong to them."""
        return {name: psutil.Process(process.pid) for name, process in self._running.items()}

    def start(self, *names: str) -> None:
        """Start the parts called `names`, or all, and wait until the API answers."""
        for name in names or self.commands:
            with (self.folder / f"{self.name}-{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, *self.commands[name]],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=ROOT,
                    env=clean_environment() | dict(self.environment),
                )
            end_with_this_process(self._running[name].pid)
        self._await_ready()

    def stop(self, *names: str) -> None:
        """Stop the parts called `names`, or all."""
        ending = [self._running.pop(name) for name in names or list(self._running)]
        for process in ending:
            process.terminate()
        for process in ending:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            print(self._tails(), file=sys.stderr)
        self.stop()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(self.port):
            self._check_alive()
            if time.monotonic() > deadline:
                message = f"{self.name} did not start"
                raise SystemExit(message)
            time.sleep(0.05)
        # Another process may have taken the port.
        self._check_alive()

    def _check_alive(self) -> None:
        dead = [name for name, process in self._running.items() if process.poll() is not None]
        if dead:
            message = f"{self.name}: {', '.join(dead)} has ended"
            raise SystemExit(message)

    def _tails(self) -> str:
        logs = sorted(self.folder.glob(f"{self.name}-*.log"))
        return "\n".join(_tail(log) for log in logs)


def clean_environment() -> dict[str, str]:
    """Return our environment without settings of ours or of BLAS, and with one BLAS thread."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DRYBEANS_", *_BLAS))
    }
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _tail(log: Path) -> str:
    return "\n".join([f"{log.name}:", *log.read_text(errors="replace").splitlines()[-20:]])


def run_apart(module: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Run a module of clients as a process of its own, and give what it reports of `plan`."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(plan).encode(),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment(),
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report
