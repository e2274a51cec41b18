"""docs/client.md: its examples are run as they stand, against all that `make up` starts."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.service import Service

pytestmark = pytest.mark.parametrize("service", ["embedded"], indirect=True)

_ROOT: Final = Path(__file__).parents[2]
_TEXT: Final = (_ROOT / "docs" / "client.md").read_text()
_ADDRESS: Final = "http://localhost:5000"
_MARK: Final = "-- the next command --"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the document's file, and with the `drybeans` command on its path."""
    (beans,) = re.findall(r"```csv\n(.*?)```", _TEXT, re.DOTALL)
    (tmp_path / "beans.csv").write_text(beans)
    command = tmp_path / "bin" / "drybeans"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m api.client "$@"\n')
    command.chmod(0o755)
    return tmp_path


def run(service: Service, folder: Path, *command: str, text: str) -> str:
    """Run `text` by `command`, and give what it writes."""
    given = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(_ROOT)}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DRYBEANS_")}
    ran = subprocess.run(
        [*command, text], cwd=folder, env=kept | given | {"DRYBEANS_URL": service.url},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def test_the_commands_answer_what_the_document_says(service: Service, folder: Path) -> None:
    """In its order, in one shell; `…` stands for anything."""
    blocks = re.findall(r"```console\n(.*?)```", _TEXT, re.DOTALL)
    examples = [
        example
        for block in blocks
        for example in re.findall(r"\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]
    script = f"\necho '{_MARK}'\n".join(command for command, _ in examples)

    answers = run(service, folder, "bash", "-c", text=script).split(f"{_MARK}\n")

    assert len(answers) == len(examples) > 6
    for (command, said), answer in zip(examples, answers, strict=True):
        pattern = ".*".join(re.escape(part) for part in _plain(said).split("…"))
        assert re.fullmatch(pattern, _plain(answer), re.DOTALL), f"{command}:\n{answer}"


def _plain(text: str) -> str:
    """Make one space of many, and of none at the end of a line."""
    return re.sub(" *\n", "\n", re.sub(" +", " ", text)).strip()


@pytest.mark.parametrize("program", re.findall(r"```python\n(.*?)```", _TEXT, re.DOTALL))
def test_the_python_examples_hold(service: Service, folder: Path, program: str) -> None:
    """Each asserts what it shows."""
    run(service, folder, sys.executable, "-c", text=program.replace(_ADDRESS, service.url))
