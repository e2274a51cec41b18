"""The unit tests of the pages' scripts, run by Node."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

_TOP: Final = Path(__file__).parents[2]
_TESTS: Final = sorted((_TOP / "tests" / "javascript").glob("*.test.js"))


@pytest.mark.parametrize("path", _TESTS, ids=lambda path: path.name)
def test_the_scripts_of_the_pages_pass_their_unit_tests(path: Path) -> None:
    """Each file of tests/javascript passes `node --test`."""
    node = shutil.which("node")
    if node is None:
        message = "NOT TESTED: the pages' scripts: node is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    done = subprocess.run(
        [node, "--test", path], capture_output=True, text=True, check=False, cwd=_TOP
    )

    assert done.returncode == 0, done.stdout


def test_every_file_of_javascript_tests_is_found() -> None:
    """A pattern that matched nothing would pass."""
    assert {path.name for path in _TESTS} >= {"format.test.js", "parsers.test.js"}
