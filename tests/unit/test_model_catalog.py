"""The catalog that follows its folder: new versions appear, a broken one takes nothing away."""

from pathlib import Path

import pytest

from api.jobs.model_catalog import ModelCatalog
from shared.domain.errors import ManifestInvalid, ModelUnknown
from tests.models import an_artifact


class Clock:
    """Tells the time that a test has made it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_catalog(root: Path) -> tuple[ModelCatalog, Clock]:
    """Read a catalog that holds toy@1."""
    an_artifact(root)
    clock = Clock()
    return ModelCatalog(root, clock), clock


def test_a_version_that_is_published_is_found_a_second_later(tmp_path: Path) -> None:
    """Without a restart, and plain toy is now the newer one."""
    catalog, clock = a_catalog(tmp_path)
    an_artifact(tmp_path, version=2)

    with pytest.raises(ModelUnknown):
        catalog.resolve("toy@2")
    clock.now += 1

    assert catalog.resolve("toy").version == 2


def test_a_broken_manifest_takes_no_model_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last whole catalog stays; the log names the file, once, until it is mended."""
    catalog, clock = a_catalog(tmp_path)
    manifest = an_artifact(tmp_path, version=2) / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole[:100])

    for _ in range(3):
        clock.now += 1
        assert catalog.resolve("toy").version == 1

    assert [record.getMessage() for record in caplog.records] == ["catalog_kept"]
    assert str(manifest) in vars(caplog.records[0])["reason"]
    manifest.write_text(whole)
    clock.now += 1
    assert catalog.resolve("toy").version == 2


def test_a_folder_that_vanishes_takes_no_model_away_while_it_is_read(tmp_path: Path) -> None:
    """A publisher that replaces a version is met in the middle of it."""
    catalog, clock = a_catalog(tmp_path)
    (tmp_path / "toy" / "2").mkdir()
    (tmp_path / "toy" / "aliases.json").write_text("{}")
    clock.now += 1

    assert catalog.resolve("toy").version == 1


def test_a_service_does_not_start_on_a_broken_catalog(tmp_path: Path) -> None:
    """There is nothing whole to keep."""
    (an_artifact(tmp_path) / "manifest.json").write_text("{")

    with pytest.raises(ManifestInvalid):
        ModelCatalog(tmp_path)
