"""The catalog knows which models there are and what their names stand for."""

import json
from pathlib import Path

import pytest

from shared.domain.errors import ManifestInvalid, ModelUnknown
from shared.models.manifest import Manifest, manifest_document
from shared.models.registry import ModelRegistry
from tests.models import a_manifest


def _write(root: Path, *manifests: Manifest) -> None:
    for manifest in manifests:
        folder = root / manifest.name / str(manifest.version)
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(manifest_document(manifest)))


def _versions(root: Path, *versions: int, **aliases: int) -> ModelRegistry:
    _write(root, *(a_manifest(version=version) for version in versions))
    if aliases:
        (root / "toy" / "aliases.json").write_text(json.dumps(aliases))
    return ModelRegistry.read(root)


@pytest.mark.parametrize(
    "name, version",
    [("toy", 2), ("toy@default", 2), ("toy@1", 1), ("toy@10", 10), ("toy@stable", 1)],
)
def test_a_name_stands_for_one_version(tmp_path: Path, name: str, version: int) -> None:
    """A plain name is the default version; a number or an alias picks another."""
    catalog = _versions(tmp_path, 1, 2, 10, default=2, stable=1)

    assert catalog.resolve(name).version == version


def test_without_aliases_the_newest_version_is_the_default(tmp_path: Path) -> None:
    """A folder that somebody made by hand works too."""
    assert _versions(tmp_path, 9, 10).default_version("toy") == 10


@pytest.mark.parametrize(
    "name", ["", "@", "@1", "toys", "Toy", "toy@", "toy@3", "toy@-1", "toy@0", "toy@1@1", "toy@²"]
)
def test_an_unknown_model_is_answered_with_those_there_are(tmp_path: Path, name: str) -> None:
    """Whoever mistypes a model's name sees the right ones."""
    with pytest.raises(ModelUnknown, match="toy@1, toy@2"):
        _versions(tmp_path, 1, 2).resolve(name)


def test_an_empty_folder_is_a_catalog_of_nothing(tmp_path: Path) -> None:
    """No models are no error until one is asked for."""
    catalog = ModelRegistry.read(tmp_path / "missing")

    assert catalog.all() == ()
    with pytest.raises(ModelUnknown, match="no model at all"):
        catalog.resolve("toy")


def test_all_lists_every_version_in_order(tmp_path: Path) -> None:
    """Names in order, and version 10 after version 9."""
    _write(tmp_path, a_manifest(name="apples"))

    catalog = _versions(tmp_path, 10, 9)

    assert [manifest.id for manifest in catalog.all()] == ["apples@1", "toy@9", "toy@10"]


def test_a_model_lies_where_it_was_read(tmp_path: Path) -> None:
    """The folder that the catalog gives holds the manifest it read."""
    catalog = _versions(tmp_path, 1)

    assert (catalog.folder(catalog.resolve("toy")) / "manifest.json").is_file()


def test_a_half_written_artifact_is_not_seen(tmp_path: Path) -> None:
    """A publisher writes beside the models, in a folder whose name starts with a dot."""
    (tmp_path / ".publishing-x" / "toy" / "1").mkdir(parents=True)
    (tmp_path / "toy" / ".2").mkdir(parents=True)

    assert [manifest.id for manifest in _versions(tmp_path, 1).all()] == ["toy@1"]


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00", '{"name": "toy"}'])
def test_a_broken_manifest_is_refused_by_its_path(tmp_path: Path, content: str) -> None:
    """Nothing is left out silently: another version would answer instead."""
    _write(tmp_path, a_manifest(version=1), a_manifest(version=2))
    path = tmp_path / "toy" / "2" / "manifest.json"
    path.write_text(content)

    with pytest.raises(ManifestInvalid, match=r"toy/2/manifest\.json"):
        ModelRegistry.read(tmp_path)


def test_a_manifest_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    """Python's reader of JSON gives up on it in a way of its own."""
    _write(tmp_path, a_manifest())
    path = tmp_path / "toy" / "1" / "manifest.json"
    path.write_text('{"metrics":' + "[" * 1_000_000)

    with pytest.raises(ManifestInvalid) as refused:
        ModelRegistry.read(tmp_path)

    assert refused.value.detail == f"{path}: it is nested too deeply."


def test_a_manifest_that_is_not_json_is_named_once(tmp_path: Path) -> None:
    """The reason follows the path of the file."""
    _write(tmp_path, a_manifest())
    path = tmp_path / "toy" / "1" / "manifest.json"
    path.write_text("{")

    with pytest.raises(ManifestInvalid) as refused:
        ModelRegistry.read(tmp_path)

    assert refused.value.detail.startswith(f"{path}: it is not JSON (")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    """An artifact that lost its manifest is named."""
    (tmp_path / "toy" / "1").mkdir(parents=True)

    with pytest.raises(ManifestInvalid, match=r"toy/1/manifest\.json.* cannot be read"):
        ModelRegistry.read(tmp_path)


def test_a_manifest_in_the_wrong_folder_is_refused(tmp_path: Path) -> None:
    """A copied folder keeps the version it was published as."""
    _write(tmp_path, a_manifest(version=1))
    (tmp_path / "toy" / "1").rename(tmp_path / "toy" / "2")

    with pytest.raises(ManifestInvalid, match="describes toy@1"):
        ModelRegistry.read(tmp_path)


@pytest.mark.parametrize("content", ["[]", '{"default": "2"}', '{"default": true}', "{"])
def test_broken_aliases_are_refused(tmp_path: Path, content: str) -> None:
    """Nobody guesses what a plain name stands for."""
    _versions(tmp_path, 1, default=1)
    (tmp_path / "toy" / "aliases.json").write_text(content)

    with pytest.raises(ManifestInvalid, match=r"aliases\.json"):
        ModelRegistry.read(tmp_path)


def test_an_alias_of_a_missing_version_is_refused(tmp_path: Path) -> None:
    """An alias points at something."""
    with pytest.raises(ManifestInvalid, match="'default' is version 3"):
        _versions(tmp_path, 1, default=3)
