"""Training gives the same model for the same seed, and records what it measured."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.models.registry import ModelRegistry
from tests.models import a_table
from worker.models.artifacts import load
from worker.training.__main__ import main
from worker.training.beans import COLUMNS
from worker.training.plans import PLANS
from worker.training.recipes import kernel_svc, stacked
from worker.training.report import report
from worker.training.table import Column, Table
from worker.training.train import train, walkthrough_split

FIGURES = {"accuracy", "macro_f1", "log_loss", "calibration_error"}


def _beans(rows: int = 240) -> pd.DataFrame:
    """Make three kinds of something with the columns of beans, hard to tell apart."""
    values, labels = a_table(rows, features=len(COLUMNS))
    noise = np.random.default_rng(1).normal(scale=6, size=values.shape)
    names = [column.name for column in COLUMNS]
    return pd.DataFrame(values + noise + 100.0, columns=names).assign(Class=labels)


def _table() -> Table:
    frame = _beans()
    columns = tuple(Column(name=str(name)) for name in frame.columns[:-1])
    labels = frame["Class"].to_numpy(dtype=str)
    return Table(columns=columns, rows=frame.iloc[:, :-1].to_numpy(), labels=labels)


def _csv(folder: Path) -> str:
    path = folder / "beans.csv"
    _beans().to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"version {plan.version}")
def test_training_twice_gives_the_same_labels_and_probabilities(plan: object) -> None:
    """The seed decides everything that is left to chance."""
    first, second = (train(plan, _table(), seed=3, folds=0) for _ in range(2))  # type: ignore[arg-type]
    rows = _table().rows

    labels = first.estimator.predict(rows)
    np.testing.assert_array_equal(second.estimator.predict(rows), labels)
    if hasattr(first.estimator, "predict_proba"):
        chances = first.estimator.predict_proba(rows)
        np.testing.assert_array_equal(second.estimator.predict_proba(rows), chances)


def test_the_seed_matters() -> None:
    """Another seed shuffles the inner folds otherwise, and the regression shows it."""
    table = _table()
    svc = kernel_svc((0, 1, 2), cost=1.0, gamma=0.1)
    chances = [
        stacked(svc, seed=seed).fit(table.rows, table.labels).predict_proba(table.rows)
        for seed in (0, 1)
    ]

    assert not np.array_equal(*chances)


def test_the_label_is_the_likeliest_class_on_every_row() -> None:
    """Labels and probabilities of the default model never contradict each other."""
    trained = train(PLANS[1], _table(), seed=0, folds=0)
    rows = np.concatenate([_table().rows, 1e3 * np.random.default_rng(0).normal(size=(500, 16))])

    likeliest = trained.estimator.predict_proba(rows).argmax(axis=1)

    labels = trained.estimator.predict(rows)
    np.testing.assert_array_equal(trained.estimator.classes_[likeliest], labels)


def test_held_out_rows_are_not_trained_on() -> None:
    """Three tenths are held out, the same ones as in the walkthrough."""
    table = _table()
    split = walkthrough_split(table)

    inside, outside = ({tuple(row) for row in part.rows} for part in (split.train, split.test))
    assert len(outside) == 72
    assert not inside & outside
    assert inside | outside == {tuple(row) for row in table.rows}


def test_every_figure_stands_beside_two_baselines() -> None:
    """A score without a baseline says little."""
    metrics = train(PLANS[1], _table(), seed=0, folds=2).metrics

    for part in (metrics["held_out"], metrics["cross_validation"]):
        assert part.keys() >= FIGURES
        assert part["baselines"].keys() == {"majority", "logistic_regression"}
        for baseline in part["baselines"].values():
            assert baseline.keys() == FIGURES
    assert metrics["held_out"]["per_class"].keys() == {"a", "b", "c"}
    assert np.sum(metrics["held_out"]["confusion"]) == 72
    assert metrics["cross_validation"]["accuracy"].keys() == {"mean", "sd", "pooled"}


def test_a_report_shows_what_was_measured() -> None:
    """The printed figures are the recorded ones, and a missing one is a dash."""
    bare = train(PLANS[0], _table(), seed=0, folds=2).metrics
    full = train(PLANS[1], _table(), seed=0, folds=2).metrics

    assert f"{full['held_out']['accuracy']:.4f}" in report(full)
    assert f"{full['cross_validation']['accuracy']['mean']:.4f} ± " in report(full)
    assert "logistic regression" in report(full)
    assert "cross_validation" not in bare
    assert re.search(r"this model .* -  .* -\n", report(bare))


def test_the_command_writes_both_artifacts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command trains, prints and publishes; a second run adds the next versions."""
    out = tmp_path / "models"
    line = ["--data", _csv(tmp_path), "--folds", "0", "--out", str(out)]

    assert main(line) == 0
    first = load(out / "drybeans" / "2")
    assert main([*line, "--seed", "0"]) == 0

    catalog = ModelRegistry.read(out)
    assert [one.version for one in catalog.all()] == [1, 2, 3, 4]
    assert catalog.default_version("drybeans") == 4
    again = load(out / "drybeans" / "4")
    assert again.manifest.golden == first.manifest.golden
    assert again.manifest.metrics == first.manifest.metrics
    printed, warned = capsys.readouterr()
    assert "Held out, 72 rows" in printed
    assert "not the published data set" in warned


def test_a_model_is_trained_again_until_it_is_published(tmp_path: Path) -> None:
    """What no alias stands for yet may be written over, and only when asked for."""
    out = tmp_path / "models"
    line = ["--data", _csv(tmp_path), "--folds", "0", "--out", str(out)]
    main(line)
    shipped = (out / "drybeans" / "2" / "manifest.json").read_bytes()
    line += ["--version", "2", "--keep-default", "--replace-unpublished"]

    for seed in ("1", "2"):
        assert main([*line, "--seed", seed]) == 0

    catalog = ModelRegistry.read(out)
    assert [one.version for one in catalog.all()] == [1, 2, 3]
    assert catalog.default_version("drybeans") == 2
    assert catalog.resolve("drybeans@3").training["seed"] == 2
    assert (out / "drybeans" / "2" / "manifest.json").read_bytes() == shipped


def test_a_manifest_tells_how_the_model_came_to_be(tmp_path: Path) -> None:
    """Whoever asks later finds seed, split, parameters and library versions."""
    main(["--data", _csv(tmp_path), "--folds", "0", "--seed", "5", "--out", str(tmp_path / "out")])

    manifest = load(tmp_path / "out" / "drybeans" / "2").manifest

    assert manifest.training["seed"] == 5
    assert manifest.training["rows"] == 168
    assert "random_state=17" in manifest.training["split"]
    assert "SVC(C=" in manifest.training["model"]
    assert manifest.training["environment"].keys() >= {"python", "numpy", "scikit-learn", "skops"}
    assert manifest.columns["aspectratio"] == manifest.columns["aspectration"]
    assert manifest.features[0].unit == "pixels"


@pytest.mark.parametrize(
    "text, why",
    [("Area,Class\n1,x\n", "no column Perimeter"), ("", "not a CSV file")],
)
def test_the_command_says_what_is_wrong_with_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    """One sentence and a failing status, no traceback."""
    path = tmp_path / "beans.csv"
    path.write_text(text)

    assert main(["--data", str(path), "--out", str(tmp_path / "out")]) == 1

    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
