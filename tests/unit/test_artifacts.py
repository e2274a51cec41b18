"""An artifact proves itself before it is loaded, and is published whole or not at all."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io as sio
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer
from sklearn.svm import SVC

from shared.catalog import Catalog
from shared.domain.errors import ArtifactRefused
from shared.domain.manifest import Golden
from tests.models import a_feature, a_manifest, a_model, a_table, an_artifact
from worker.artifacts import golden_of, load, publish, untrusted_types


def _edit(folder: Path, change: Callable[[Any], None]) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def _put(folder: Path, content: bytes) -> None:
    """Replace the model file and let the manifest agree with the new one."""
    (folder / "model.skops").write_bytes(content)

    def agree(document: Any) -> None:
        document["model"]["sha256"] = hashlib.sha256(content).hexdigest()
        document["model"]["bytes"] = len(content)

    _edit(folder, agree)


def test_a_published_model_loads_and_predicts_as_before(tmp_path: Path) -> None:
    """What comes back is the model that was published."""
    rows, _ = a_table()

    artifact = load(an_artifact(tmp_path))

    assert artifact.manifest.id == "toy@1"
    np.testing.assert_array_equal(artifact.estimator.predict(rows), a_model().predict(rows))


def test_a_stack_on_a_pipeline_predicts_the_same_after_loading(tmp_path: Path) -> None:
    """The shape of the default model survives the way through a file bit by bit."""
    rows, labels = a_table()
    model = StackingClassifier(
        [("svc", make_pipeline(PowerTransformer(), SVC(decision_function_shape="ovo")))],
        final_estimator=LogisticRegression(),
        stack_method="decision_function",
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ).fit(rows, labels)
    manifest = a_manifest(golden=golden_of(model, rows[:9]))

    loaded = load(publish(tmp_path, manifest, model)).estimator

    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


def test_a_tampered_model_is_refused(tmp_path: Path) -> None:
    """One changed bit is enough."""
    folder = an_artifact(tmp_path)
    content = bytearray((folder / "model.skops").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.skops").write_bytes(content)

    with pytest.raises(ArtifactRefused, match=r"SHA-256 .* tampered"):
        load(folder)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    """A copy that broke off is called that."""
    folder = an_artifact(tmp_path)
    content = (folder / "model.skops").read_bytes()
    (folder / "model.skops").write_bytes(content[:-1])

    with pytest.raises(ArtifactRefused, match="truncated"):
        load(folder)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    """A manifest alone is no model."""
    folder = an_artifact(tmp_path)
    (folder / "model.skops").unlink()

    with pytest.raises(ArtifactRefused, match=r"model\.skops cannot be read"):
        load(folder)


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    """A pickle can run anything on loading; it is not even looked into."""
    trace = tmp_path / "was-run"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trace,)

    joblib.dump(Payload(), tmp_path / "payload")
    folder = an_artifact(tmp_path / "models")
    _put(folder, (tmp_path / "payload").read_bytes())

    with pytest.raises(ArtifactRefused, match="not a skops file"):
        load(folder)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"x", b"PK\x03\x04", b"\x00" * 1000, b"{}"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the file is, the answer is the same clear one."""
    folder = an_artifact(tmp_path)
    _put(folder, content)

    with pytest.raises(ArtifactRefused, match="not a skops file"):
        load(folder)


@pytest.mark.parametrize("schema", ["", "[]", '{"__class__": "int"}', '{"__loader__": "Odd"}'])
def test_a_zip_of_something_else_is_refused(tmp_path: Path, schema: str) -> None:
    """A skops file is a zip, but not every zip is a skops file."""
    folder = an_artifact(tmp_path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("schema.json", schema)
    _put(folder, (tmp_path / "other.zip").read_bytes())

    with pytest.raises(ArtifactRefused, match="not a skops file"):
        load(folder)


def test_types_that_nobody_trusts_are_refused_by_name(tmp_path: Path) -> None:
    """A model may hold a call to anything; what it holds is named."""
    rows, labels = a_table()
    model = make_pipeline(FunctionTransformer(joblib.dump), LogisticRegression())
    model.steps[1][1].fit(rows, labels)
    folder = an_artifact(tmp_path)
    _put(folder, sio.dumps(model))

    with pytest.raises(ArtifactRefused, match=r"not trusted: joblib\.numpy_pickle\.dump"):
        load(folder)


@pytest.mark.parametrize(
    "foreign, what",
    [
        ({"a": 1}, "no estimator but an object of type dict"),
        (PowerTransformer(), "no classifier but a PowerTransformer"),
        (KMeans(), "no classifier"),
        (LinearRegression(), "no classifier"),
        (LogisticRegression(), "a LogisticRegression that was never fitted"),
        (LogisticRegression().fit(*a_table(features=2)), "of 2 features; the manifest has 3"),
        (LogisticRegression().fit(*a_table(classes=2)), "of the classes a, b, which are not"),
        (SVC().fit(*a_table()), "gives no probabilities"),
    ],
)
def test_a_model_of_the_wrong_kind_is_refused(tmp_path: Path, foreign: Any, what: str) -> None:
    """A sound skops file may still hold something else than the manifest's model."""
    folder = an_artifact(tmp_path)
    _put(folder, sio.dumps(foreign))

    with pytest.raises(ArtifactRefused, match=what):
        load(folder)


def test_another_library_version_is_refused(tmp_path: Path) -> None:
    """A model may change its answers, silently, from one release to the next."""
    folder = an_artifact(tmp_path)
    _edit(folder, lambda document: document["libraries"].update({"scikit-learn": "1.8.0"}))

    with pytest.raises(ArtifactRefused, match=r"made with scikit-learn 1\.8\.0; here is 1"):
        load(folder)


def test_a_missing_library_is_refused(tmp_path: Path) -> None:
    """A model of a library that is not installed says so before it fails in other ways."""
    folder = an_artifact(tmp_path)
    _edit(folder, lambda document: document["libraries"].update({"no-such-library": "1.0"}))

    with pytest.raises(ArtifactRefused, match=r"no-such-library 1\.0; here is none"):
        load(folder)


def test_the_libraries_that_a_model_needs_are_found_out(tmp_path: Path) -> None:
    """The publisher need not name them."""
    assert set(load(an_artifact(tmp_path)).manifest.libraries) == {"scikit-learn"}


def test_golden_rows_with_another_label_are_refused(tmp_path: Path) -> None:
    """A model that loads but answers differently is not the model that was published."""
    folder = an_artifact(tmp_path)

    def disagree(document: Any) -> None:
        labels = document["golden"]["labels"]
        labels[0] = "a" if labels[0] != "a" else "b"

    _edit(folder, disagree)

    with pytest.raises(ArtifactRefused, match="1 of its 5 golden rows another label"):
        load(folder)


def test_golden_rows_with_other_probabilities_are_refused(tmp_path: Path) -> None:
    """Probabilities may differ by rounding, and by no more."""
    folder = an_artifact(tmp_path)

    def disagree(document: Any) -> None:
        document["golden"]["probabilities"][0][0] += 1e-5

    _edit(folder, disagree)

    with pytest.raises(ArtifactRefused, match="off by 1e-05"):
        load(folder)


def test_a_broken_manifest_is_refused(tmp_path: Path) -> None:
    """The loader says what the manifest lacks."""
    folder = an_artifact(tmp_path)
    _edit(folder, lambda document: document.pop("golden"))

    with pytest.raises(ArtifactRefused, match="/golden"):
        load(folder)


def test_a_published_version_is_not_rewritten(tmp_path: Path) -> None:
    """Jobs pin versions, so a version stays what it is."""
    folder = an_artifact(tmp_path)
    before = (folder / "manifest.json").read_bytes()

    with pytest.raises(ArtifactRefused, match="there already"):
        an_artifact(tmp_path, description="Another one.")

    assert (folder / "manifest.json").read_bytes() == before


def test_a_version_is_replaced_when_asked_for(tmp_path: Path) -> None:
    """Training again writes the same versions again."""
    an_artifact(tmp_path)
    golden = golden_of(a_model(), a_table()[0][:2])
    again = a_manifest(description="Another one.", golden=golden)

    folder = publish(tmp_path, again, a_model(), replace=True)

    assert load(folder).manifest.description == "Another one."


def test_the_newest_publication_becomes_the_default(tmp_path: Path) -> None:
    """Unless told otherwise, a plain name stands for what was published last."""
    an_artifact(tmp_path, version=1)
    an_artifact(tmp_path, version=2)

    assert Catalog.read(tmp_path).default_version("toy") == 2


def test_a_publication_can_leave_the_default_alone(tmp_path: Path) -> None:
    """A version can be tried by its number first."""
    an_artifact(tmp_path, version=1)
    golden = golden_of(a_model(), a_table()[0][:2])
    publish(tmp_path, a_manifest(version=2, golden=golden), a_model(), default=False)

    assert Catalog.read(tmp_path).default_version("toy") == 1
    assert Catalog.read(tmp_path).resolve("toy@2").version == 2


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
