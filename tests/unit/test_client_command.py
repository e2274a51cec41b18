"""The `drybeans` command where no service is needed."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from api.client.cli import drybeans, run
from tests.client_command import ran
from tests.servers import free_port


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["frobnicate", "x"], id="no such command"),
        pytest.param(["submit"], id="no file"),
        pytest.param(["list", "--limit", "0"], id="out of range"),
        pytest.param(["submit", "x", "--label", "batch"], id="no pair"),
        pytest.param(["submit", "x", "--retention", "soon"], id="no time"),
        pytest.param(["predict", "1,5", "2"], id="no number"),
    ],
)
def test_a_command_written_wrongly_ends_with_64(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a script tells it from a job that failed."""
    assert run(words) == 64
    assert "Error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, told",
    [
        pytest.param(["submit", "no-such.csv"], "no-such.csv cannot be read", id="no file"),
        pytest.param(["results", "x", "-o", "no/out.csv"], "no such folder", id="no folder"),
        pytest.param(["status", "a/b"], "no id of a job", id="no id"),
        pytest.param(["status", "x", "--url", "beans"], "is no address", id="no address"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and no traceback."""
    assert run(words) == 2
    assert told in capsys.readouterr().err


def test_nobody_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    """After the patience that was asked for; the upload can be sent again as it is printed."""
    (tmp_path / "beans.csv").write_text("a\n1\n")
    url = f"http://127.0.0.1:{free_port()}"

    words = ["beans.csv", "--model", "a b", "--label", "x=1", "--retention", "90s", "-o", "o.csv"]
    done = ran(url, tmp_path, "submit", *words, "--patience", "0")

    assert done.code == 2
    assert f"No answer from {url}" in done.said
    assert "DRYBEANS_URL" in done.said
    again = shlex.split(done.said.strip().splitlines()[-1])
    assert again[:-2] == ["drybeans", "submit", *words]
    assert again[-2] == "--idempotency-key"
    assert "Traceback" not in done.said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each gets a script of its own kind."""
    assert run(["completion", shell]) == 0
    assert "_DRYBEANS_COMPLETE" in capsys.readouterr().out


def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    """That says what it is for."""
    for name in drybeans.commands:
        assert run([name, "--help"]) == 0
        assert len(capsys.readouterr().out) > 150, name


def test_the_server_does_not_load_its_client() -> None:
    """The API's image holds the client's code, and none of what it needs."""
    code = (
        "import sys, api.app; "
        "print([n for n in sys.modules if n.startswith(('api.client', 'httpx', 'rich'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_client_loads_no_server() -> None:
    """It can be handed out alone."""
    code = (
        "import sys, api.client.cli; "
        "print([n for n in sys.modules if n.partition('.')[0] in {'flask', 'shared', 'worker'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
