"""An artifact proves itself before it is loaded."""

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
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer
from sklearn.svm import SVC

from shared.domain.errors import ArtifactRefused
from tests.models import a_manifest, a_model, a_table, an_artifact
from worker.models.artifacts import golden_of, load, publish


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

    with pytest.raises(ArtifactRefused, match="bytes where its manifest says"):
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
