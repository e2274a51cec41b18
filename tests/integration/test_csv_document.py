"""docs/csv.md: its commands are run as they stand, and answer what it says they answer."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.api_process import ApiProcess
from tests.service import Service
from tests.working import working
from worker.models.loader import ModelLoader

TEXT: Final = (Path(__file__).parents[2] / "docs" / "csv.md").read_text()
ADDRESS: Final = "http://localhost:5000"
BLOCKS: Final = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES: Final = [
    re.findall(r"\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE) for block in BLOCKS
]


@pytest.fixture
def address(
    redis_url: str, database_url: str, models: ModelLoader, tmp_path: Path
) -> Iterator[str]:
    """The address of the API as a process, with a worker behind it."""
    if shutil.which("curl") is None:
        pytest.skip("NOT TESTED: docs/csv.md: there is no curl on this machine")
    settings = {"DRYBEANS_DATABASE_URL": database_url, "DRYBEANS_REDIS_URL": redis_url}
    service = Service(database_url, redis_url, models=models)
    with ApiProcess(tmp_path / "api", settings) as api, working(service):
        yield api.url
    service.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_commands_answer_what_the_document_says(address: str, tmp_path: Path) -> None:
    """In its order, in one folder, with its file; `…` stands for anything."""
    (beans,) = re.findall(r"```csv\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "beans.csv").write_text(beans)
    answers = [
        (answer, said) for block in EXAMPLES for _, answer, said in run(block, address, tmp_path)
    ]

    assert len(answers) == 7
    for answer, said in answers:
        pattern = ".*".join(re.escape(part) for part in said.strip().split("…"))
        assert re.fullmatch(pattern, answer.strip(), re.DOTALL), answer


def run(block: list[tuple[str, str]], address: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Run the commands of a block in one shell; give each with its answer and what it should be."""
    mark = "-- the next command --"
    script = f"\necho\necho '{mark}'\n".join(command for command, _ in block)
    ran = subprocess.run(
        ["bash", "-c", script.replace(ADDRESS, address)],
        cwd=folder, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    for (command, said), answer in zip(block, ran.stdout.split(mark), strict=True):
        yield command, answer, said


def test_the_document_names_every_error_that_a_row_can_have() -> None:
    """Clients write code for them."""
    root = Path(__file__).parents[2]
    sources = (
        "shared/domain/csv_lines.py",
        "shared/domain/numerals.py",
        "worker/batch/csv_rows.py",
        "worker/batch/predict.py",
    )
    code = "".join((root / source).read_text() for source in sources)
    codes = set(re.findall(r'"((?:not|too|missing|malformed)[a-z_]*)"', code))

    assert codes >= {"missing", "not_a_number", "not_predictable", "malformed"}
    assert [name for name in sorted(codes) if f"`{name}`" not in TEXT] == []
