"""What `make up` refuses before it starts anything, and how it says so."""

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared.embedded import __file__ as package
from shared.embedded.checks import free_port, make_writable, only_one, require_free_port
from shared.embedded.failure import LaunchFailed
from shared.embedded.launch import set_defaults
from shared.embedded.parts import find_redis


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_refused_with_the_way_out(host: str) -> None:
    """The commonest failure of a first try says what to type."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(LaunchFailed, match=f"port {port} is taken.*PORT={port + 1}"):
            require_free_port(host, port)


def test_a_port_whose_listener_has_just_ended_is_free() -> None:
    """Stopping and starting again works at once, whatever connections linger."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        answer, _ = other.accept()
        answer.close()
        client.close()

    require_free_port("127.0.0.1", port)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The sentence names the folder and what the system said."""
    (tmp_path / "file").touch()

    with pytest.raises(LaunchFailed, match=r"cannot write to .*/file/var \(Not a directory\)"):
        make_writable(tmp_path / "file" / "var")


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    """A fresh clone has no var/."""
    make_writable(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Two sets of parts on one SQLite file would get in each other's way."""
    with (
        only_one(tmp_path),
        pytest.raises(LaunchFailed, match=rf"already runs.*\(process {os.getpid()}\)"),
        only_one(tmp_path),
    ):
        pass


def test_the_next_one_may_run_after_the_first(tmp_path: Path) -> None:
    """A lock file that stays behind locks nobody out."""
    with only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_short_names_and_embedded_defaults_reach_the_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PORT and WORKERS are what people type; the database is a file in var/."""
    _forget_settings(monkeypatch)
    monkeypatch.setenv("PORT", "5123")
    monkeypatch.setenv("WORKERS", "3")

    set_defaults(tmp_path)

    assert os.environ["DRYBEANS_PORT"] == "5123"
    assert os.environ["DRYBEANS_WORKERS"] == "3"
    assert os.environ["DRYBEANS_DATABASE_URL"] == f"sqlite:///{tmp_path}/drybeans.db"


def test_a_given_database_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DRYBEANS_DATABASE_URL switches to a real server."""
    _forget_settings(monkeypatch)
    monkeypatch.setenv("DRYBEANS_DATABASE_URL", "mysql+pymysql://u:p@127.0.0.1/d")

    set_defaults(tmp_path)

    assert os.environ["DRYBEANS_DATABASE_URL"] == "mysql+pymysql://u:p@127.0.0.1/d"


def test_the_walkthroughs_variables_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """MYSQL_HOST and its like name a database too."""
    _forget_settings(monkeypatch)
    for name in ("USER", "PASSWORD", "HOST", "DB"):
        monkeypatch.setenv(f"MYSQL_{name}", "x")

    set_defaults(tmp_path)

    assert "DRYBEANS_DATABASE_URL" not in os.environ


def _forget_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that whatever the code under test writes is undone in any case.
    for name in [*os.environ, "DRYBEANS_PORT", "DRYBEANS_WORKERS", "DRYBEANS_DATABASE_URL"]:
        if name.startswith(("DRYBEANS_", "MYSQL_")) or name in {"PORT", "WORKERS"}:
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)


def test_the_redis_that_is_found_runs() -> None:
    """Of the system or of a wheel, it is a server of the Redis protocol."""
    said = subprocess.run([find_redis(), "--version"], capture_output=True, text=True, check=True)

    assert "server v=" in said.stdout


def test_an_old_python_can_read_the_file_that_tells_it_so() -> None:
    """No syntax error may come before the sentence about Python's version."""
    main = Path(package).with_name("__main__.py").read_text()

    ast.parse(main.partition("import argparse")[0], feature_version=(3, 6))


def test_a_wrong_setting_is_told_in_one_sentence(tmp_path: Path) -> None:
    """No traceback for a misspelt variable."""
    ended = subprocess.run(
        [sys.executable, "-m", "shared.embedded", "--var", str(tmp_path)],
        env=os.environ | {"DRYBEANS_TYPO": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr == "drybeans: DRYBEANS_TYPO: there is no such setting\n"


def test_free_ports_can_be_listened_on() -> None:
    """The port for Redis is chosen by the system."""
    socket.create_server(("127.0.0.1", free_port())).close()
