"""A real MySQL, started by the tool that DRYBEANS_TEST_MYSQL_TOOL names.

The tool takes `start DIR PORT` (prints the SQLAlchemy URL of an empty database), `stop DIR` and
`kill DIR`. Its folder is kept between runs, because the first start takes a minute.
"""

import fcntl
import subprocess
from pathlib import Path
from typing import IO, Final

from tests.servers.process import ServerFailed, ServerMissing, free_port
from tests.servers.reaper import end_with_this_process

# The first start downloads and unpacks the server.
_CALL_SECONDS: Final = 900


class MySQLServer:
    """One MySQL in `folder`; another test run that wants the same folder waits its turn."""

    name = "mysql"

    def __init__(self, folder: Path, tool: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = ""
        self._tool = tool
        self._turn: IO[str] | None = None

    def start(self) -> None:
        """Start the server, after the one that an interrupted run may have left behind."""
        if not self._tool.is_file():
            message = f"DRYBEANS_TEST_MYSQL_TOOL names no file: {self._tool}"
            raise ServerMissing(message)
        if self._turn is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._turn = (self.folder / "turn.lock").open("w")
            fcntl.flock(self._turn, fcntl.LOCK_EX)
            self._end_left_over()
        self.url = self._call("start", str(self.folder), str(self.port)).splitlines()[-1].strip()
        end_with_this_process(int(self._pid_file.read_text()))

    def stop(self) -> None:
        """End the server in good order and let the next run have the folder."""
        if self._turn is not None:
            self._call("stop", str(self.folder))
            self._turn.close()
            self._turn = None

    def kill(self) -> None:
        """End the server as a crash does; its data stays."""
        self._call("kill", str(self.folder))

    @property
    def _pid_file(self) -> Path:
        return self.folder / "root" / "mysql" / "pid"

    def _end_left_over(self) -> None:
        file = self._pid_file
        if not file.is_file():
            return
        name = Path("/proc") / file.read_text().strip() / "comm"
        if name.is_file() and name.read_text().strip() == "mysqld":
            self._call("stop", str(self.folder))
        file.unlink(missing_ok=True)

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            [str(self._tool), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_CALL_SECONDS,
        )
        if done.returncode:
            message = f"{self._tool.name} {words[0]} failed: {done.stderr.strip()}"
            raise ServerFailed(message)
        return done.stdout
