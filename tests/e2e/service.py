"""All of drybeans as `make up` starts it, in a folder and on a port of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
import psutil

from tests.servers import ServerFailed, free_port
from tests.servers.reaper import end_with_this_process

_START_SECONDS: Final = 1800.0
_STOP_SECONDS: Final = 600.0


class Service:
    """The processes of `make up`, with `settings` (DRYBEANS_…) on top of the defaults."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, *, key: str | None = None
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "up.log"
        self._settings = dict(settings or {})
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the launcher and return at once."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shared.embedded", "--var", str(self.folder)],
                env=kept | {"PORT": str(self.port), "WORKERS": "2"} | self._settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end_with_this_process(self._process.pid)
        return self._process

    def start(self) -> None:
        """Start and wait until the launcher says that all is ready, and a worker takes work."""
        process = self.launch()
        deadline = time.monotonic() + _START_SECONDS
        # On a busy machine a worker is ready long after the API, and requests wait 30 s at most.
        while not ("drybeans answers at" in self.said() and self._works()):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                message = f"make up did not start:\n{self.said()}"
                raise ServerFailed(message)
            time.sleep(0.05)

    def _works(self) -> bool:
        with self.client() as client:
            model = client.get("/models/drybeans").json()
            body = {"instances": model["sample"]}
            job = client.post("/jobs", json=body, headers={"Prefer": "wait=20"}).json()
            return bool(job["state"] == "succeeded")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, as Ctrl-C does, and return the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            return self._process.wait(_STOP_SECONDS)
        finally:
            self._process.kill()
            self._process = None

    def wait(self) -> int:
        """Wait until the launcher ends by itself; return the exit code."""
        assert self._process is not None
        return self._process.wait(_STOP_SECONDS)

    def said(self) -> str:
        """Return all that was printed since the launch."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """Return the launcher's descendants: the parts and their children."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def part(self, *words: str) -> psutil.Process:
        """Return the main process of the part whose command line has all of `words`."""
        assert self._process is not None
        for process in psutil.Process(self._process.pid).children():
            if all(word in process.cmdline() for word in words):
                return process
        message = f"no part runs {words}"
        raise LookupError(message)

    def second_worker(self) -> subprocess.Popen[bytes]:
        """Start another worker on the same database and Redis; the caller ends it."""
        places = dict(
            line.split("=", 1) for line in (self.folder / "places.env").read_text().split()
        )
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
        with (self.folder / "second.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "worker.main"],
                env=kept | self._settings | places | {"DRYBEANS_WORKERS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end_with_this_process(worker.pid)
        return worker

    def client(self) -> httpx.Client:
        """Return a client of the service."""
        return httpx.Client(base_url=self.url, timeout=600, trust_env=False, headers=self._headers)
