"""The `drybeans` command as a process, for tests that use it as people do."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.api_process import ApiProcess
from tests.servers.reaper import end_with_this_process
from tests.service import Service
from tests.waiting import wait_for

_ROOT: Final = Path(__file__).parent.parent
_SECONDS: Final = 3600.0
# Where the tests run in the background, they and their children ignore Ctrl-C.
_PROGRAM: Final = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('api.client', run_name='__main__', alter_sys=True)"
)


class Command:
    """One run of `drybeans` in `folder`, against the service at `url`."""

    def __init__(
        self, url: str, folder: Path, *words: str, errors: Path | None = None, **environment: str
    ) -> None:
        self._errors = (errors or folder) / f"{os.urandom(4).hex()}.stderr"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DRYBEANS_")}
        given = {"DRYBEANS_URL": url, "PYTHONPATH": str(_ROOT), "COLUMNS": "200"}
        with self._errors.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *words],
                cwd=folder, env=kept | given | environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        end_with_this_process(self._process.pid)
        self.code: int | None = None
        self.out = ""

    def end(self, given: bytes = b"") -> "Command":
        """Return it `given` on standard input, and wait for its end."""
        out, _ = self._process.communicate(given, timeout=_SECONDS)
        self.out, self.code = out.decode(), self._process.returncode
        return self

    @property
    def said(self) -> str:
        """What it has written to standard error so far."""
        return self._errors.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until it has said `words`."""
        wait_for(lambda: words in self.said, every=0.02)

    def stop(self) -> None:
        """End it, whatever became of it."""
        self._process.kill()
        self._process.communicate()

    def interrupt(self) -> "Command":
        """Press Ctrl-C, and wait for its end."""
        self._process.send_signal(signal.SIGINT)
        return self.end()


def ran(url: str, folder: Path, *words: str, given: bytes = b"", **options: Any) -> Command:
    """Run `drybeans` to its end."""
    return Command(url, folder, *words, **options).end(given)


@dataclass(frozen=True)
class Stage:
    """The API as a process, what stands behind it, and a folder to type commands in."""

    api: ApiProcess
    behind: Service
    folder: Path
    begun: list[Command] = field(default_factory=list)

    def run(self, *words: str, given: bytes = b"", **environment: str) -> Any:
        """Run a command to its end."""
        return ran(self.api.url, self.folder, *words, given=given, **environment)

    def begin(self, *words: str) -> Command:
        """Begin a command."""
        self.begun.append(Command(self.api.url, self.folder, *words))
        return self.begun[-1]

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file and give its name."""
        data = content if isinstance(content, bytes) else content.encode()
        (self.folder / name).write_bytes(data)
        return name

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs there are."""
        listed: list[dict[str, Any]] = json.loads(self.run("list", "--json").out)
        return listed

    def stop(self) -> None:
        """End what was begun and not ended."""
        for command in self.begun:
            command.stop()
