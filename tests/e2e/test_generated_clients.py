"""Clients that three generators make from the OpenAPI document call the running service."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from api.openapi.components import BEAN, CSV_SAMPLE
from tests.e2e.service import Service

_TOP: Final = Path(__file__).parents[2]
_CACHE: Final = _TOP / ".cache" / "generators"
_SCRIPTS: Final = Path(__file__).parent / "generated"
_REQUIREMENTS: Final = _TOP / "requirements" / "generators.txt"
_LOCAL: Final = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

RESULTS: Final = {
    "json": 'succeeded ["DERMASON"]',
    "results": '1 ["DERMASON"]',
    "list": "True",
    "form": 'succeeded ["DERMASON"]',
    "predict": '["DERMASON"]',
    "v1": '["DERMASON"]',
    "v2": '["DERMASON"]',
}
"""What each script prints: a call and its result in each line."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def run(*command: object, cwd: Path, environment: Mapping[str, str] = _LOCAL) -> str:
    """Run a command in `cwd` and return what it prints; raise RuntimeError when it fails."""
    words = [str(word) for word in command]
    env = os.environ | environment
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        message = f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        raise RuntimeError(message)
    return done.stdout


def install(name: str, pins: Path, *commands: tuple[object, ...]) -> Path:
    """Install what `pins` names by `commands`, unless the cache has it; return its folder."""
    folder = _CACHE / name
    installed = folder / "installed"
    if installed.exists() and installed.read_bytes() == pins.read_bytes():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for command in commands:
            run(*command, cwd=folder, environment={})
    except (RuntimeError, FileNotFoundError) as error:
        message = f"NOT TESTED: clients generated with {name}: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    shutil.copy(pins, installed)
    return folder


@pytest.fixture(scope="session")
def python_programs() -> Path:
    """Return the folder of the programs of the generators that come from PyPI."""
    pip = ("bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    venv = (sys.executable, "-m", "venv", ".")
    pinned = ("--require-hashes", "-r", _REQUIREMENTS)
    return install("pip", _REQUIREMENTS, venv, (*pip, *pinned)) / "bin"


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """Return the folder with the generator that comes from npm."""
    lock = _SCRIPTS / "package-lock.json"
    copy = ("cp", _SCRIPTS / "package.json", lock, ".")
    node = ("node", "--version")
    return install("npm", lock, node, copy, ("npm", "ci", "--silent", "--no-audit", "--no-fund"))


@pytest.fixture
def document(embedded: Service, tmp_path: Path) -> Path:
    """Save the OpenAPI document of the running service and return its path."""
    path = tmp_path / "openapi.json"
    with embedded.client() as client:
        path.write_bytes(client.get("/openapi.json").raise_for_status().content)
    return path


def results(service: Service, *command: object, cwd: Path) -> dict[str, str]:
    """Run a script against the service; return the result of each call that it prints."""
    printed = run(*command, service.url, CSV_SAMPLE, json.dumps(BEAN), cwd=cwd)
    return dict(line.split(" ", 1) for line in printed.splitlines())


def test_a_client_of_openapi_python_client_works(
    embedded: Service, document: Path, python_programs: Path, tmp_path: Path
) -> None:
    """It has a method for every call, for a JSON body and a form alike."""
    # It formats its code with a program that lies beside it.
    path = {"PATH": f"{python_programs}{os.pathsep}{os.environ['PATH']}"}
    generate = ("generate", "--meta", "none", "--path", document, "--output-path", "client")
    run(python_programs / "openapi-python-client", *generate, cwd=tmp_path, environment=path)
    script = shutil.copy(_SCRIPTS / "with_openapi_python_client.py", tmp_path)

    assert results(embedded, python_programs / "python", script, cwd=tmp_path) == RESULTS


def test_a_client_of_openapi_generator_works(
    embedded: Service, document: Path, python_programs: Path, tmp_path: Path
) -> None:
    """Its methods send JSON; the client below them sends the form."""
    generate = ("generate", "-g", "python", "-i", document, "-o", ".")
    run(python_programs / "openapi-generator-cli", *generate, cwd=tmp_path)
    script = shutil.copy(_SCRIPTS / "with_openapi_generator.py", tmp_path)

    assert results(embedded, python_programs / "python", script, cwd=tmp_path) == RESULTS


def test_types_of_openapi_typescript_fit_what_a_script_sends(
    embedded: Service, document: Path, node_folder: Path
) -> None:
    """A strict compiler accepts the script, and every call works."""
    shutil.copy(_SCRIPTS / "with_openapi_typescript.ts", node_folder / "use.ts")
    (node_folder / "node.d.ts").write_text("declare const process: { argv: string[] };\n")
    programs = node_folder / "node_modules" / ".bin"
    # Without this option every member with a default must be sent.
    generate = (document, "--default-non-nullable", "false", "-o", "schema.d.ts")
    run(programs / "openapi-typescript", *generate, cwd=node_folder)
    options = ("--strict", "--skipLibCheck", "--target", "es2022", "--lib", "es2022,dom")
    modules = ("--module", "es2022", "--moduleResolution", "bundler")
    run(programs / "tsc", *options, *modules, "use.ts", "node.d.ts", cwd=node_folder)

    assert results(embedded, "node", "use.js", cwd=node_folder) == RESULTS
