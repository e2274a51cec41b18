"""An artifact is published whole or not at all."""

import zipfile
from pathlib import Path

import joblib
import pytest
import skops.io as sio
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from shared.domain.errors import ArtifactRefused
from shared.models.manifest import Golden
from shared.models.registry import ModelRegistry
from tests.models import a_feature, a_manifest, a_model, a_table, an_artifact
from worker.models.artifacts import golden_of, load, publish, untrusted_types


def test_a_published_version_is_not_rewritten(tmp_path: Path) -> None:
    """Jobs pin versions, so a version stays what it is."""
    folder = an_artifact(tmp_path)
    before = (folder / "manifest.json").read_bytes()

    for replace in (False, True):
        with pytest.raises(ArtifactRefused) as refused:
            another(tmp_path, version=1, replace_unpublished=replace)
        assert refused.value.detail == (
            "toy@1 is published: an alias stands for it or for a later version, so jobs may be "
            "pinned to it. Publish the next version instead."
        )

    assert (folder / "manifest.json").read_bytes() == before


def another(root: Path, version: int, *, replace_unpublished: bool) -> Path:
    """Publish another model, without letting the plain name stand for it."""
    golden = golden_of(a_model(), a_table()[0][:2])
    manifest = a_manifest(version=version, description="Another one.", golden=golden)
    options = {"replace_unpublished": replace_unpublished, "default": False}
    return publish(root, manifest, a_model(), **options)


def test_a_version_that_is_not_published_is_replaced_when_asked_for(tmp_path: Path) -> None:
    """As long as no alias stands for it or for a later one; not by accident."""
    an_artifact(tmp_path)
    another(tmp_path, version=2, replace_unpublished=False)

    with pytest.raises(ArtifactRefused) as refused:
        another(tmp_path, version=2, replace_unpublished=False)
    assert refused.value.detail == (
        "toy@2 is there already. It is not published, so --replace-unpublished may write over it."
    )
    assert load(another(tmp_path, version=2, replace_unpublished=True)).manifest.version == 2

    an_artifact(tmp_path, version=3)
    with pytest.raises(ArtifactRefused, match=r"^toy@2 is published: "):
        another(tmp_path, version=2, replace_unpublished=True)


def test_the_newest_publication_becomes_the_default(tmp_path: Path) -> None:
    """Unless told otherwise, a plain name stands for what was published last."""
    an_artifact(tmp_path, version=1)
    an_artifact(tmp_path, version=2)

    assert ModelRegistry.read(tmp_path).default_version("toy") == 2


def test_a_publication_can_leave_the_default_alone(tmp_path: Path) -> None:
    """A version can be tried by its number first."""
    an_artifact(tmp_path, version=1)
    golden = golden_of(a_model(), a_table()[0][:2])
    publish(tmp_path, a_manifest(version=2, golden=golden), a_model(), default=False)

    assert ModelRegistry.read(tmp_path).default_version("toy") == 1
    assert ModelRegistry.read(tmp_path).resolve("toy@2").version == 2


def test_what_would_not_load_is_not_published(tmp_path: Path) -> None:
    """A refused publication leaves nothing behind, not even a folder."""
    golden = Golden(rows=((0.0,),), labels=("a",), probabilities=((1.0, 0.0, 0.0),))

    with pytest.raises(ArtifactRefused, match="of 3 features; the manifest has 1"):
        an_artifact(tmp_path, features=(a_feature(),), golden=golden, sample=((1.0,),))

    assert list(tmp_path.iterdir()) == []


def test_trees_are_scikit_learns_own() -> None:
    """A forest's trees are unknown to skops; they are part of scikit-learn."""
    forest = RandomForestClassifier(2).fit(*a_table())

    own, unknown = untrusted_types(sio.dumps(forest))

    assert own == {"sklearn.tree._tree.Tree"}
    assert not unknown


def test_a_function_from_elsewhere_is_nobodys_own() -> None:
    """What a pipeline calls from outside scikit-learn takes an explicit yes."""
    own, unknown = untrusted_types(sio.dumps(FunctionTransformer(joblib.dump)))

    assert not own
    assert unknown == {"joblib.numpy_pickle.dump"}


def test_what_scikit_learn_merely_imports_is_not_its_own(tmp_path: Path) -> None:
    """A class from elsewhere does not become trusted by the module it was found in."""
    sio.dump(LogisticRegression(), tmp_path / "honest.skops")
    with zipfile.ZipFile(tmp_path / "honest.skops") as archive:
        schema = archive.read("schema.json").decode()
    schema = schema.replace("sklearn.linear_model._logistic", "sklearn.base")
    with zipfile.ZipFile(tmp_path / "sly.skops", "w") as archive:
        archive.writestr("schema.json", schema.replace("LogisticRegression", "defaultdict"))

    own, unknown = untrusted_types((tmp_path / "sly.skops").read_bytes())

    assert not own
    assert unknown == {"sklearn.base.defaultdict"}
