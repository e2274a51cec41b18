"""Any fitted classifier on numeric columns can be published, by command or from Python."""

import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io as sio
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from shared.domain.errors import ArtifactRefused
from shared.models.manifest import Manifest
from shared.models.registry import ModelRegistry
from tests.models import a_table
from worker.models.artifacts import load
from worker.training.publish import Submission, load_model, main, publish_model
from worker.training.table import Column, TableRefused

NAMES = ["height", "width", "weight"]


def _frame() -> tuple[pd.DataFrame, Any]:
    rows, labels = a_table()
    return pd.DataFrame(rows, columns=NAMES), labels


def _forest(*, named: bool = True) -> RandomForestClassifier:
    frame, labels = _frame()
    forest = RandomForestClassifier(10, random_state=0)
    return forest.fit(frame if named else frame.to_numpy(), labels)


def _manifest(folder: Path) -> Manifest:
    return load(folder).manifest


def module_model() -> RandomForestClassifier:
    """Return a model as a function in a user's module would."""
    return _forest()


def test_a_forest_is_published_and_predicts_as_before(tmp_path: Path) -> None:
    """A model that this project never heard of comes back as it was."""
    frame, labels = _frame()
    forest = _forest()

    artifact = load(publish_model(tmp_path, forest, frame, Submission(name="fruit"), labels))

    manifest = artifact.manifest
    assert manifest.id == "fruit@1"
    assert manifest.classes == ("a", "b", "c")
    assert manifest.outputs == ("label", "probabilities")
    assert [feature.name for feature in manifest.features] == NAMES
    assert manifest.features[0].maximum == frame["height"].max()
    assert manifest.metrics["on_the_rows_given"]["accuracy"] > 0.9
    loaded = artifact.estimator.predict_proba(frame)
    np.testing.assert_array_equal(loaded, forest.predict_proba(frame))


def test_whole_numbers_as_classes_become_text(tmp_path: Path) -> None:
    """Labels are words on the wire, in the order of the classifier's classes."""
    frame, labels = _frame()
    numbers = np.array([{"a": 2, "b": 10, "c": -1}[label] for label in labels])
    model = LogisticRegression().fit(frame, numbers)

    manifest = _manifest(publish_model(tmp_path, model, frame, Submission(name="n"), numbers))

    assert manifest.classes == ("-1", "2", "10")
    assert set(manifest.golden.labels) == {"-1", "2", "10"}
    assert manifest.metrics["on_the_rows_given"]["accuracy"] > 0.9


def test_a_model_without_probabilities_says_so(tmp_path: Path) -> None:
    """What cannot be had is not offered."""
    frame, _ = _frame()

    folder = publish_model(tmp_path, SVC().fit(*_frame()), frame, Submission(name="svc"))

    assert _manifest(folder).outputs == ("label",)
    assert "no probabilities" in _manifest(folder).label_rule


@pytest.mark.parametrize(
    "threshold, rule", [(0.5, "on every row"), (0.99999, r"on \d\d\.\d\d% of the rows")]
)
def test_the_label_rule_is_measured(tmp_path: Path, threshold: float, rule: str) -> None:
    """Where label and likeliest class part, the manifest says how often."""
    rows, labels = a_table(classes=2)
    model = FixedThresholdClassifier(LogisticRegression(), threshold=threshold).fit(rows, labels)

    folder = publish_model(tmp_path, model, pd.DataFrame(rows), Submission(name="strict"))

    assert re.search(rule, _manifest(folder).label_rule)


def test_columns_follow_the_models_own_names(tmp_path: Path) -> None:
    """A table with more columns, or in another order, is put right."""
    frame, labels = _frame()
    shuffled = frame[["weight", "height", "width"]].assign(colour=1.0)

    manifest = _manifest(publish_model(tmp_path, _forest(), shuffled, Submission(name="f"), labels))

    assert [feature.name for feature in manifest.features] == NAMES
    assert manifest.metrics["on_the_rows_given"]["accuracy"] > 0.9


def test_units_and_aliases_can_be_given(tmp_path: Path) -> None:
    """What a table's header cannot say may be said in Python."""
    column = Column(name="width", unit="mm", description="Across.", aliases=("w",))
    submission = Submission(name="fruit", columns=[column])

    manifest = _manifest(publish_model(tmp_path, _forest(), _frame()[0], submission))

    assert manifest.features[1].unit == "mm"
    assert manifest.columns["w"] == 1


def test_versions_count_up(tmp_path: Path) -> None:
    """Each publication is a new version, and the plain name stands for the newest."""
    frame, _ = _frame()
    for _ in range(3):
        publish_model(tmp_path, _forest(), frame, Submission(name="fruit"))

    catalog = ModelRegistry.read(tmp_path)
    assert [manifest.id for manifest in catalog.all()] == ["fruit@1", "fruit@2", "fruit@3"]
    assert catalog.resolve("fruit").version == 3


def _lambda_model() -> Any:
    frame, labels = _frame()
    return make_pipeline(FunctionTransformer(lambda rows: rows), _forest()).fit(frame, labels)


def _foreign_model() -> Any:
    frame, labels = _frame()
    doubled = FunctionTransformer(joblib.hash)
    model = make_pipeline(LogisticRegression()).fit(frame, labels)
    model.steps.insert(0, ("double", doubled))
    return model


@pytest.mark.parametrize(
    "model, why",
    [
        (RandomForestClassifier(), "not a fitted classifier"),
        (KMeans(2, n_init=1).fit(np.eye(3)), "not a fitted classifier"),
        (_foreign_model(), r"skops does not know: joblib\.hashing\.hash.*--trust"),
        (_lambda_model(), "skops"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, model: Any, why: str) -> None:
    """The refusal says what is wrong, and nothing is left behind."""
    with pytest.raises(ArtifactRefused, match=why):
        publish_model(tmp_path, model, _frame()[0], Submission(name="odd"))

    assert list(tmp_path.iterdir()) == []


def test_a_bad_name_is_refused(tmp_path: Path) -> None:
    """A name is part of a path and of a URL."""
    with pytest.raises(ArtifactRefused, match="/name"):
        publish_model(tmp_path, _forest(), _frame()[0], Submission(name="My Fruit"))


def test_a_table_without_the_models_columns_is_refused(tmp_path: Path) -> None:
    """The model's own feature names must be there."""
    frame = _frame()[0].rename(columns={"width": "breadth"})

    with pytest.raises(TableRefused, match="no column width"):
        publish_model(tmp_path, _forest(), frame, Submission(name="fruit"))


def test_a_table_of_another_width_is_refused(tmp_path: Path) -> None:
    """A model that knows no names still knows how many features it takes."""
    frame = _frame()[0].assign(colour=1.0)

    with pytest.raises(TableRefused, match="takes 3 features and the table has 4 columns"):
        publish_model(tmp_path, _forest(named=False), frame, Submission(name="fruit"))


def test_labels_that_the_model_does_not_know_are_refused(tmp_path: Path) -> None:
    """A wrong label column would give figures about nothing."""
    frame, labels = _frame()

    with pytest.raises(TableRefused, match="holds pear, which the model does not know"):
        publish_model(tmp_path, _forest(), frame, Submission(name="f"), ["pear", *labels[1:]])


def _csv(folder: Path) -> Path:
    frame, labels = _frame()
    path = folder / "fruit.csv"
    frame.assign(kind=labels).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["function", "skops"])
def test_the_command_publishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """One line publishes a model from a module or from a skops file."""
    sio.dump(_forest(), tmp_path / "forest.skops")
    model = f"{__name__}:module_model" if kind == "function" else str(tmp_path / "forest.skops")
    out = tmp_path / "models"
    line = ["fruit", "--model", model, "--data", str(_csv(tmp_path)), "--label", "kind"]

    assert main([*line, "--out", str(out), "--description", "Kinds of fruit."]) == 0
    assert "Published fruit@1" in capsys.readouterr().out
    assert main([*line, "--out", str(out), "--keep-default"]) == 0

    catalog = ModelRegistry.read(out)
    assert catalog.resolve("fruit").description == "Kinds of fruit."
    assert load(catalog.folder(catalog.resolve("fruit@2"))).manifest.version == 2


@pytest.mark.parametrize(
    "model, why",
    [
        ("model.pkl", "looks like a pickle"),
        ("model.joblib", "looks like a pickle"),
        ("nowhere.skops", "cannot be read"),
        (__file__ + ".skops", "cannot be read"),
        ("no_such_module:model", "neither module:attribute nor a .skops file"),
        (f"{__name__}:no_such_attribute", "neither module:attribute"),
        ("just-a-word", "neither module:attribute"),
        ("", "neither module:attribute"),
    ],
)
def test_the_command_refuses_what_is_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, why: str
) -> None:
    """One sentence says what is wrong; there is no traceback."""
    status = main(["x", "--model", model, "--data", str(_csv(tmp_path)), "--out", str(tmp_path)])

    assert status == 1
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1


def test_a_damaged_skops_file_is_refused(tmp_path: Path) -> None:
    """A file is not a model because of its name."""
    path = tmp_path / "model.skops"
    path.write_bytes(b"not a zip")

    with pytest.raises(ArtifactRefused, match="not a skops file"):
        load_model(str(path), [])


def test_a_skops_file_with_unknown_types_needs_trust(tmp_path: Path) -> None:
    """Loading could run what the file names, so a person has to say yes first."""
    path = tmp_path / "model.skops"
    sio.dump(_foreign_model(), path)

    with pytest.raises(ArtifactRefused, match=r"joblib\.hashing\.hash"):
        load_model(str(path), [])
    assert load_model(str(path), ["joblib.hashing.hash"]).steps[0][0] == "double"
