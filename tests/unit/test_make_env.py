"""`make env` adds the passwords that .env lacks."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_NAMES: Final = re.findall(r"(?m)^(\w+)=$", (_ROOT / ".env.example").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what `make env` reads."""
    for name in ("Makefile", ".env.example"):
        shutil.copy(_ROOT / name, tmp_path / name)
    return tmp_path


def make_env(folder: Path) -> dict[str, str]:
    """Run `make env` and return the variables of .env."""
    subprocess.run(["make", "env"], cwd=folder, check=True, capture_output=True)
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_password_is_random_and_for_the_owner_only(folder: Path) -> None:
    """Letters and digits, so that one can be part of a URL."""
    made = make_env(folder)

    assert list(made) == _NAMES
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in made.values())
    assert len(set(made.values())) == len(made)
    assert (folder / ".env").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("end", ["\n", ""])
def test_what_is_there_stays(folder: Path, end: str) -> None:
    """An upgrade adds the new passwords alone, also after a last line without its end."""
    (folder / ".env").write_text(f"# mine\nMYSQL_PASSWORD=kept\nBIND=0.0.0.0{end}")

    made = make_env(folder)

    assert made["MYSQL_PASSWORD"] == "kept"
    assert made["BIND"] == "0.0.0.0"
    assert set(made) == {*_NAMES, "BIND"}
    assert (folder / ".env").read_text().startswith("# mine\nMYSQL_PASSWORD=kept\nBIND=0.0.0.0\n")
    assert make_env(folder) == made
