"""What importing may do, and who may import whom beyond what import-linter can say."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("api", "worker", "shared")
# These build their process when they are imported: that is what they are for.
_BUILD = {"api.wsgi", "api.gunicorn_conf", "worker.main"}
# Alembic runs these itself, inside a migration.
_SCRIPTS = "shared.db.migrations."
Side = dict[str, list[str]]

# Of the standard library, from a later Python on, and its backport, which is not installed there.
_NEWER = {"compression"} | ({"backports"} if sys.version_info >= (3, 14) else set())

_IMPORT_ALL = """
import importlib, json, sys, threading
sys.path.insert(0, sys.argv[1])
# It binds a socket when it is imported, to learn whether there is IPv6.
import urllib3.util.connection
events = []
watched = {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "sqlite3.connect"}
current = ""
sys.addaudithook(lambda event, _: event in watched and events.append([current, event]))
for current in sys.argv[2:]:
    try:
        importlib.import_module(current)
    except BaseException as error:
        events.append([current, f"{type(error).__name__}: {error}"])
    events += [[current, f"thread {t.name}"] for t in threading.enumerate()[1:]]
print(json.dumps({"events": events, "loaded": sorted(sys.modules)}))
"""


def _files() -> Iterator[tuple[str, Path]]:
    for package in _PACKAGES:
        for file in sorted((_ROOT / package).rglob("*.py")):
            words = file.relative_to(_ROOT).with_suffix("").parts
            yield ".".join(words[:-1] if words[-1] == "__init__" else words), file


def _modules() -> list[str]:
    return [
        name for name, _ in _files() if name not in _BUILD and not f"{name}.".startswith(_SCRIPTS)
    ]


def _import_alone(*modules: str) -> Side:
    """Import `modules` in a process that has no environment; tell what happened."""
    code = [sys.executable, "-I", "-c", _IMPORT_ALL, str(_ROOT), *modules]
    done = subprocess.run(code, env={}, capture_output=True, text=True, check=True)
    answer: Side = json.loads(done.stdout)
    return answer


def _imported_by(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def _loaded(side: Side, *packages: str) -> set[str]:
    return set(packages) & {name.partition(".")[0] for name in side["loaded"]}


@pytest.fixture(scope="module")
def api_side() -> Side:
    """What happened when all that the API's image holds was imported."""
    return _import_alone(*(name for name in _modules() if name.startswith(("api", "shared"))))


@pytest.fixture(scope="module")
def worker_side() -> Side:
    """What happened when all that the worker's image holds was imported."""
    return _import_alone(*(name for name in _modules() if name.startswith(("worker", "shared"))))


def test_importing_does_nothing(api_side: Side, worker_side: Side) -> None:
    """Every module can be imported without settings, and opens, starts and connects nothing."""
    assert api_side["events"] == []
    assert worker_side["events"] == []


def test_the_api_loads_no_numerical_library(api_side: Side) -> None:
    """The API's image has none of these, and its start and memory stay small."""
    assert not _loaded(api_side, "numpy", "pandas", "scipy", "sklearn", "skops", "joblib", "worker")


def test_the_worker_loads_no_http_server(worker_side: Side) -> None:
    """The worker's image has no Flask."""
    assert not _loaded(worker_side, "flask", "werkzeug", "gevent", "gunicorn", "api")


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, id=name) for name, file in _files() if name.startswith("shared.domain")],
)
def test_the_domain_imports_the_standard_library_only(file: Path) -> None:
    """The rules of jobs, chunks and rows stand on Python alone."""
    foreign = {
        name
        for name in _imported_by(file)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not f"{name}.".startswith("shared.domain.")
    }

    assert not foreign


def test_the_client_imports_nothing_of_the_server() -> None:
    """The client speaks HTTP only, so it can be handed out alone."""
    foreign = {
        (name, imported)
        for name, file in _files()
        if name.startswith("api.client")
        for imported in _imported_by(file)
        if imported.partition(".")[0] in _PACKAGES and not imported.startswith("api.client")
    }

    assert not foreign


@pytest.mark.parametrize("image", ["api", "worker"])
def test_an_images_requirements_name_what_its_code_imports(image: str) -> None:
    """A package that is here by chance, as another's dependency or by hand, is missing there."""
    listed = (_ROOT / "requirements" / f"{image}.in").read_text()
    named = {_plain(name) for name in re.findall(r"^[\w.-]+", listed, re.MULTILINE)}
    owners = packages_distributions()

    missing = {
        imported
        for name, file in _files()
        if name.startswith((image, "shared")) and not name.startswith("api.client")
        for imported in _imported_by(file)
        if imported.partition(".")[0] not in {*sys.stdlib_module_names, *_PACKAGES, *_NEWER}
        and not named & {_plain(owner) for owner in owners[imported.partition(".")[0]]}
    }

    assert not missing


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
