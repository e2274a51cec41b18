"""The Dockerfiles: what they promise before they are built."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_IMAGES: Final = ("api", "worker")


def instructions(image: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, each on one line, without comments."""
    text = (_ROOT / f"Dockerfile.{image}").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def last(image: str, word: str) -> str:
    """Return the last instruction of a kind, which is the one that counts."""
    return next(rest for found, rest in reversed(instructions(image)) if found == word)


@pytest.mark.parametrize("image", _IMAGES)
def test_the_base_can_be_exchanged(image: str) -> None:
    """And both stages stand on it."""
    told = instructions(image)

    assert told[0] == ("ARG", "PYTHON_IMAGE=python:3.11-slim-bookworm")
    bases = [rest.split(" ")[0] for word, rest in told if word == "FROM"]
    assert bases == ["${PYTHON_IMAGE}", "${PYTHON_IMAGE}"]


@pytest.mark.parametrize("image", _IMAGES)
def test_it_runs_as_a_number_that_is_not_root(image: str) -> None:
    """Kubernetes cannot tell of a name whether it is root."""
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last(image, "USER"))


@pytest.mark.parametrize("image", _IMAGES)
@pytest.mark.parametrize("word", ["CMD", "HEALTHCHECK"])
def test_commands_run_without_a_shell(image: str, word: str) -> None:
    """A shell as process 1 keeps SIGTERM to itself."""
    command = json.loads(last(image, word)[last(image, word).index("[") :])

    assert all(isinstance(part, str) for part in command)
    assert command[0] not in {"sh", "bash"}


@pytest.mark.parametrize("image", _IMAGES)
def test_requirements_are_installed_by_hash_and_before_the_code(image: str) -> None:
    """So that no package changes unseen, and a change of code is built in seconds."""
    told = instructions(image)
    installs = next(i for i, (word, rest) in enumerate(told) if word == "RUN" and "install" in rest)
    copies = [
        i for i, (word, rest) in enumerate(told) if word == "COPY" and rest.startswith("shared")
    ]

    assert "--require-hashes" in told[installs][1]
    assert f"requirements/{image}.txt" in told[installs - 1][1]
    assert installs < copies[0]


@pytest.mark.parametrize("image", _IMAGES)
def test_an_image_holds_its_own_half_of_the_code(image: str) -> None:
    """The API's has no worker, the worker's no API."""
    assert copied(image) == {
        f"requirements/{image}.txt",
        "shared",
        image,
        "model_artifacts",
        "LICENSE",
        "NOTICE",
    }


def copied(image: str) -> set[str]:
    """Return the sources that an image copies from the build context."""
    sources = [rest.split(" ")[:-1] for word, rest in instructions(image) if word == "COPY"]
    return {name for names in sources if names[0] != "--from=build" for name in names}


def test_only_what_is_copied_enters_a_build() -> None:
    """Everything else is kept out by the first line, secrets and all."""
    lines = [
        line
        for line in (_ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied("api") | copied("worker")
