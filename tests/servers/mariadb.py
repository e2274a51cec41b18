"""A real MariaDB from Debian's mariadb-server package, run by whoever runs the tests."""

import os
import subprocess
from pathlib import Path

import pymysql

from tests.servers.process import Server, ServerFailed, find_program

# One statement a line: that is how MariaDB reads an init file.
_FIRST_SQL = """\
CREATE USER IF NOT EXISTS drybeans@'%' IDENTIFIED BY 'drybeans';
GRANT ALL ON *.* TO drybeans@'%';
CREATE DATABASE IF NOT EXISTS drybeans;
"""


class MariaDBServer(Server):
    """A MariaDB with user and password `drybeans` and an empty database `drybeans`.

    `durable=False` lets the operating system choose when to write: a killed server loses nothing,
    only a power cut would, and commits cost a tenth.
    """

    name = "mariadb"

    def __init__(self, folder: Path, port: int | None = None, *, durable: bool = False) -> None:
        super().__init__(folder, port)
        self.durable = durable

    @property
    def url(self) -> str:
        """The address of the empty database `drybeans`."""
        return f"mysql+pymysql://drybeans:drybeans@127.0.0.1:{self.port}/drybeans"

    def prepare(self) -> None:
        """Make the system tables on the first start."""
        first = self.folder / "first.sql"
        first.write_text(_FIRST_SQL)
        if (self._tables / "mysql").exists():
            return
        self._temporary.mkdir(exist_ok=True)
        made = subprocess.run(
            [
                *(find_program("mariadb-install-db"), "--no-defaults", "--skip-test-db"),
                *(f"--datadir={self._tables}", "--auth-root-authentication-method=normal"),
                *self._user(),
            ],
            capture_output=True,
            text=True,
            check=False,
            # Any MariaDB that starts removes what it takes for left over in a folder it shares.
            env=os.environ | {"TMPDIR": str(self._temporary)},
        )
        if made.returncode:
            message = f"mariadb-install-db failed: {made.stdout}{made.stderr}"
            raise ServerFailed(message)

    def command(self) -> list[str]:
        """Return the command; the socket stays in the folder, whose path must be short."""
        flush = "1" if self.durable else "2"
        return [
            *(find_program("mariadbd"), "--no-defaults", f"--datadir={self._tables}"),
            *("--bind-address=127.0.0.1", f"--port={self.port}"),
            *(f"--socket={self.folder}/s.sock", f"--pid-file={self.folder}/pid"),
            *(f"--init-file={self.folder}/first.sql", "--skip-name-resolve"),
            f"--tmpdir={self._temporary}",
            *(f"--innodb-flush-log-at-trx-commit={flush}", "--innodb-log-file-size=64M"),
            *self._user(),
        ]

    def answers(self) -> bool:
        """Return whether the user of the tests can log in."""
        try:
            pymysql.connect(
                host="127.0.0.1",
                port=self.port,
                user="drybeans",
                password="drybeans",
                connect_timeout=1,
            ).close()
        except pymysql.Error:
            return False
        return True

    @property
    def _tables(self) -> Path:
        return self.folder / "tables"

    @property
    def _temporary(self) -> Path:
        return self.folder / "tmp"

    @staticmethod
    def _user() -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []
