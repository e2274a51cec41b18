"""The table of promises names tests that exist, and leaves no operation out."""

import re
from pathlib import Path
from typing import Final

from api.app import create_app
from api.bootstrap import build_services
from api.openapi.generator import describe_operation, path_of
from shared.settings import Settings
from tests.service import MODEL_ROOT

_ROOT: Final = Path(__file__).parents[2]


def rows() -> list[tuple[str, list[str]]]:
    """Read the table: the operation and the tests of each row."""
    lines = (_ROOT / "docs/contract.md").read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    return [
        (operation.strip("`"), re.findall(r"`(test_\w+)`", test)) for operation, _, test in cells
    ]


def test_every_promise_names_tests_that_exist() -> None:
    """None is promised on the word of a test that was renamed or dropped."""
    code = "".join(path.read_text() for path in _ROOT.glob("tests/**/test_*.py"))
    tests = set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))

    assert len(rows()) > 40
    for operation, named in rows():
        assert named, operation
        assert set(named) <= tests, operation


def test_every_operation_has_a_promise() -> None:
    """Whoever adds a route says what it promises, and shows it."""
    app = create_app(build_services(Settings(model_root=MODEL_ROOT)))
    operations = {f"{method} {path_of(rule)}" for rule, method, _ in describe_operation(app)}

    promised = {operation for operation, _ in rows()} - {"every operation"}

    assert promised == operations
