"""The models there are: what the folder of artifacts holds, and what a model's name stands for."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.domain.errors import ArtifactRefused, ManifestInvalid, ModelUnknown
from shared.models.manifest import Manifest, parse_manifest

MANIFEST_FILE: Final = "manifest.json"
ALIASES_FILE: Final = "aliases.json"
DEFAULT: Final = "default"

_Versions = Mapping[int, Manifest]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegistry:
    """All models under `root`: `models` by name and version, `aliases` by name and alias."""

    root: Path
    models: Mapping[str, _Versions]
    aliases: Mapping[str, Mapping[str, int]]

    @classmethod
    def read(cls, root: Path) -> "ModelRegistry":
        """Read the manifests of every `<name>/<version>/` under `root`; no model file is opened.

        Raises `ManifestInvalid`, naming the file, when one of them is broken: a catalog that
        left it out would answer with another version than people expect.
        """
        models = {folder.name: _read_versions(folder) for folder in _folders(root)}
        models = {name: versions for name, versions in models.items() if versions}
        aliases = {name: _read_aliases(root / name, models[name]) for name in models}
        return cls(root=root, models=models, aliases=aliases)

    def resolve(self, name: str) -> Manifest:
        """Find what `name` stands for: "drybeans", "drybeans@1", or "drybeans@" and an alias.

        Raises `ModelUnknown`, which says what there is.
        """
        model, _, version = name.partition("@")
        aliases = self.aliases.get(model, {})
        number = aliases.get(version or DEFAULT)
        if number is None and version.isascii() and version.isdigit():
            number = int(version[:9])
        manifest = self.models.get(model, {}).get(number or 0)
        if manifest is None or name.endswith("@"):
            known = ", ".join(manifest.id for manifest in self.all()) or "no model at all"
            raise ModelUnknown(f"There is no model {name[:80]!r}; there is {known}.")
        return manifest

    def all(self) -> tuple[Manifest, ...]:
        """Every version of every model, by name, oldest first."""
        return tuple(
            self.models[name][version]
            for name in sorted(self.models)
            for version in sorted(self.models[name])
        )

    def folder(self, manifest: Manifest) -> Path:
        """Where the artifact of `manifest` lies."""
        return self.root / manifest.name / str(manifest.version)

    def default_version(self, name: str) -> int:
        """Return which version plain `name` stands for. Raises `ModelUnknown`."""
        return self.resolve(name.partition("@")[0]).version


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in `folder`, which must be `<name>/<version>` of what it describes.

    Raises `ManifestInvalid`, naming the file.
    """
    path = folder / MANIFEST_FILE
    document = _read_json(path)
    try:
        manifest = parse_manifest(document)
    except ManifestInvalid as error:
        raise ManifestInvalid(f"{path}: {error.detail}", faults=error.faults) from error
    if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
        raise ManifestInvalid(f"{path}: it describes {manifest.id}, which does not belong there.")
    return manifest


def check_model(folder: Path, manifest: Manifest) -> None:
    """Check size and hash of the model file in `folder` without holding it in memory.

    Raises `ArtifactRefused`.
    """
    path = folder / manifest.model_file
    try:
        with path.open("rb") as file:
            _check_size(path, os.fstat(file.fileno()).st_size, manifest)
            _check_digest(path, hashlib.file_digest(file, "sha256").hexdigest(), manifest)
    except OSError as error:
        raise ArtifactRefused(f"{path} cannot be read ({error.strerror}).") from error


def read_model(folder: Path, manifest: Manifest) -> bytes:
    """Read the model file in `folder`; its size and hash are those of `manifest`.

    Raises `ArtifactRefused`.
    """
    path = folder / manifest.model_file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactRefused(f"{path} cannot be read ({error.strerror}).") from error
    _check_size(path, len(content), manifest)
    _check_digest(path, hashlib.sha256(content).hexdigest(), manifest)
    return content


def _check_size(path: Path, size: int, manifest: Manifest) -> None:
    if size != manifest.model_bytes:
        raise ArtifactRefused(
            f"{path} has {size} bytes where its manifest says {manifest.model_bytes}: "
            "it is truncated or another file."
        )


def _check_digest(path: Path, digest: str, manifest: Manifest) -> None:
    if digest != manifest.sha256:
        raise ArtifactRefused(
            f"{path} has the SHA-256 {digest} where its manifest says {manifest.sha256}: "
            "it was tampered with or is damaged."
        )


def read_aliases(folder: Path) -> dict[str, int]:
    """Read the aliases of the model whose versions lie in `folder`; none when there is no file.

    Raises `ManifestInvalid`, naming the file.
    """
    path = folder / ALIASES_FILE
    if not path.exists():
        return {}
    document = _read_json(path)
    if isinstance(document, dict) and all(type(version) is int for version in document.values()):
        return document
    raise ManifestInvalid(f'{path}: an object such as {{"default": 2}} is needed.')


def _read_aliases(folder: Path, versions: _Versions) -> dict[str, int]:
    aliases = {DEFAULT: max(versions)} | read_aliases(folder)
    for alias, version in aliases.items():
        if version not in versions:
            path = folder / ALIASES_FILE
            raise ManifestInvalid(f"{path}: {alias!r} is version {version}, which is not there.")
    return aliases


def version_numbers(folder: Path) -> list[int]:
    """Return the versions of the model whose versions lie in `folder`, oldest first."""
    return sorted(int(path.name) for path in _folders(folder) if path.name.isdecimal())


def last_published(folder: Path) -> int:
    """Return the last published version of the model whose versions lie in `folder`, 0 for none.

    A version is published once an alias stands for it or for a later one: jobs may be pinned to it
    then. Where nothing names a default, the newest version is it.
    """
    return max(
        (read_aliases(folder) or {DEFAULT: max(version_numbers(folder), default=0)}).values()
    )


def version_folders(root: Path) -> list[Path]:
    """Return the folder of every version of every model under `root`, whatever is in it."""
    return [version for model in _folders(root) for version in _folders(model)]


def _read_versions(folder: Path) -> dict[int, Manifest]:
    manifests = (read_manifest(version) for version in _folders(folder))
    return {manifest.version: manifest for manifest in manifests}


def _folders(root: Path) -> list[Path]:
    # A name with a dot in front is being written by a publisher.
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ManifestInvalid(f"{path}: it cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ManifestInvalid(f"{path}: it is not JSON ({error}).") from error
    except RecursionError as error:
        raise ManifestInvalid(f"{path}: it is nested too deeply.") from error
