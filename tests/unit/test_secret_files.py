"""Files with secrets stay out of commits, of image builds and of uploads to Google Cloud."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_SECRETS: Final = (
    *(".env", ".env.bak", ".env.old", ".env.production", "secrets.bak", "drybeans.env", "api/.env"),
    *("api/.env.bak", "shared/settings.py.bak", "worker/.env.local", "model_artifacts/.env"),
    *("k8s/overlays/gke/kustomization.yaml.bak", "k8s/overlays/mine/kustomization.yaml"),
    *("k8s/overlays/mine/.env", "k8s/.env.bak", "docs/.env~"),
)
_IGNORE_FILES: Final = (".gitignore", ".dockerignore", ".gcloudignore")
# What both images are built from.
_IN_IMAGES: Final = ("api/", "shared/", "worker/", "model_artifacts/", "requirements/")


def tracked() -> set[str]:
    """Return the paths of the repository's files."""
    listed = subprocess.run(
        ["git", "ls-files"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("NOT TESTED: what git and gcloud would take: this is not a git repository")
    return set(listed.stdout.splitlines())


@pytest.fixture(scope="module")
def files() -> set[str]:
    """The repository's own files."""
    return tracked()


@pytest.fixture(scope="module")
def folder(files: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the same file names, all empty, and with planted secrets."""
    folder = tmp_path_factory.mktemp("repository")
    for name in files | set(_SECRETS):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for name in _IGNORE_FILES:
        shutil.copy(_ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def test_git_takes_every_file_but_secrets(folder: Path, files: set[str]) -> None:
    """`git add --all` adds what the repository holds."""
    added = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert set(added) - files == set()
    assert ".env.example" in added


def test_an_image_build_takes_what_dockerfiles_copy(folder: Path, files: set[str]) -> None:
    """The build context holds no other file, and no secret inside of a copied folder."""
    context = {name for name in files | set(_SECRETS) if not _docker_ignores(folder, name)}

    assert context == {
        name
        for name in files
        if name in {"LICENSE", "NOTICE", "requirements/api.txt", "requirements/worker.txt"}
        or (name.startswith(_IN_IMAGES) and not name.startswith("requirements/"))
    }


def _docker_ignores(folder: Path, name: str) -> bool:
    """Apply .dockerignore as Docker does: the last pattern that matches a path or parent wins."""
    ignored = False
    for line in (folder / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!"))
            pattern = pattern.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            pattern = pattern.replace(r"\[", "[").replace(r"\]", "]")
            if re.match(f"{pattern}(/|$)", name):
                ignored = not line.startswith("!")
    return ignored


def test_gcloud_uploads_what_images_are_built_from(folder: Path, files: set[str]) -> None:
    """By gcloud's own list of what `gcloud builds submit` would upload."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("NOT TESTED: what gcloud uploads: there is no gcloud on this machine")
    listed = subprocess.run(
        [gcloud, "meta", "list-files-for-upload", str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CLOUDSDK_CONFIG": str(folder.parent)},
    )

    assert set(listed.stdout.splitlines()) == {
        name
        for name in files
        if name
        in {
            *("LICENSE", "NOTICE", "requirements/api.txt", "requirements/worker.txt"),
            *("Dockerfile.api", "Dockerfile.worker", ".dockerignore"),
        }
        or (name.startswith(_IN_IMAGES) and not name.startswith("requirements/"))
    }
