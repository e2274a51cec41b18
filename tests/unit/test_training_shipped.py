"""The two models in this repository are what they are said to be."""

from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from shared.models.registry import ModelRegistry
from worker.models.artifacts import Artifact, load
from worker.training.beans import COLUMNS, LABEL, SOURCE
from worker.training.plans import PLANS
from worker.training.source import is_genuine
from worker.training.table import Table, read_table
from worker.training.train import train

Labels = NDArray[np.str_]

ROOT: Final = Path(__file__).parents[2] / "model_artifacts"
WALKTHROUGH_ROW: Final = (
    33958.0, 677.1, 253.69, 171.05, 1.48, 0.74, 34241.0, 207.93, 0.82, 0.99, 0.93, 0.82, 0.01, 0.0,
    0.67, 1.0,
)  # fmt: skip


@pytest.fixture(scope="module", params=[1, 2])
def artifact(request: pytest.FixtureRequest) -> Artifact:
    """Each of the two models."""
    return load(ROOT / "drybeans" / str(request.param))


@pytest.fixture(scope="module")
def default() -> Artifact:
    """The default model."""
    catalog = ModelRegistry.read(ROOT)
    return load(catalog.folder(catalog.resolve("drybeans")))


@pytest.fixture(scope="module")
def table(dataset: Path) -> Table:
    """The real data set."""
    return read_table(dataset, COLUMNS, LABEL)


def test_version_2_is_the_default(default: Artifact) -> None:
    """Plain "drybeans" is the better model."""
    assert default.manifest.id == "drybeans@2"


def test_the_walkthroughs_bean_is_a_dermason(artifact: Artifact) -> None:
    """The row of the walkthrough's own request, rounded as it is, gets its own answer."""
    assert artifact.estimator.predict([WALKTHROUGH_ROW]).tolist() == ["DERMASON"]


def test_version_1_has_the_walkthroughs_accuracy() -> None:
    """The number that the walkthrough prints."""
    manifest = ModelRegistry.read(ROOT).resolve("drybeans@1")

    assert round(manifest.metrics["held_out"]["accuracy"], 3) == 0.923


def test_the_default_reaches_its_goals_in_ten_folds(default: Artifact) -> None:
    """At least 0.932 right, log-loss 0.20 and calibration error 0.015."""
    folds = default.manifest.metrics["cross_validation"]

    assert folds["folds"] == 10
    assert folds["accuracy"]["mean"] >= 0.932
    assert folds["log_loss"]["mean"] <= 0.20
    assert folds["calibration_error"]["pooled"] <= 0.015


def test_artifacts_are_small() -> None:
    """They are part of every clone and image."""
    assert sum(file.stat().st_size for file in ROOT.rglob("*") if file.is_file()) < 1_000_000


def test_labels_and_probabilities_agree(default: Artifact) -> None:
    """The label is the likeliest class, also far from all beans."""
    rows = np.array(default.manifest.golden.rows)
    rows = np.concatenate([rows * factor for factor in (0.01, 0.7, 1.0, 1.3, 100.0)])

    likeliest = default.estimator.predict_proba(rows).argmax(axis=1)

    labels = default.estimator.predict(rows)
    np.testing.assert_array_equal(default.estimator.classes_[likeliest], labels)


@pytest.mark.dataset
def test_the_data_set_is_recognised(table: Table) -> None:
    """The file that the models were trained on is the published one."""
    assert is_genuine(SOURCE, table)


@pytest.mark.dataset
def test_no_row_of_the_data_set_is_in_an_artifact(artifact: Artifact, table: Table) -> None:
    """Golden and sample rows are made up."""
    manifest = artifact.manifest
    rows = {tuple(row) for row in table.rows.tolist()}

    assert not rows & {*manifest.golden.rows, *manifest.sample}


@pytest.mark.dataset
def test_the_recorded_accuracy_is_that_of_the_file(artifact: Artifact, table: Table) -> None:
    """Anyone can measure the shipped model on the rows it was not trained on."""
    _, held_out = train_test_split(np.arange(len(table.rows)), test_size=0.3, random_state=17)
    labels = artifact.estimator.predict(table.rows[held_out])

    accuracy = float((labels == table.labels[held_out]).mean())

    assert accuracy == pytest.approx(artifact.manifest.metrics["held_out"]["accuracy"], abs=1e-5)


def trained_again(artifact: Artifact, table: Table) -> Labels:
    """Train the plan of `artifact` anew with its recorded seed, and label the whole data set."""
    manifest = artifact.manifest
    plan = PLANS[manifest.version - 1]
    again = train(plan, table, seed=manifest.training["seed"], folds=0).estimator
    labels: Labels = again.predict(table.rows)
    return labels


@pytest.mark.dataset
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_again_gives_the_shipped_labels(default: Artifact, table: Table) -> None:
    """The default model can be made anew, to the last label, on any machine."""
    labels = trained_again(default, table)

    np.testing.assert_array_equal(labels, default.estimator.predict(table.rows))


@pytest.mark.dataset
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_the_walkthroughs_model_again_gives_its_accuracy(table: Table) -> None:
    """On unscaled columns libsvm stops where rounding leads it, at much the same accuracy."""
    shipped = load(ROOT / "drybeans" / "1")

    labels = trained_again(shipped, table)

    _, held_out = train_test_split(np.arange(len(table.rows)), test_size=0.3, random_state=17)
    accuracy = float((labels == table.labels)[held_out].mean())
    assert accuracy == pytest.approx(0.923, abs=0.0015)
    assert (labels == shipped.estimator.predict(table.rows)).mean() > 0.98
