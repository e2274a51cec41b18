"""View models of manifests, complete and incomplete ones."""

from dataclasses import replace

import pytest

from api.ui.view_models import baselines, compare_metrics, confusion, histogram_bars
from shared.models.manifest import Histogram
from tests.beans import default_model


def test_metrics_of_several_models_are_compared() -> None:
    """Higher is better for accuracy, lower for a loss; metrics that no model has are left out."""
    accuracy, loss = compare_metrics(
        [{"accuracy": 0.9, "log_loss": None}, {"accuracy": 0.8, "log_loss": 2}]
    )

    assert (accuracy.values, accuracy.best) == ((0.9, 0.8), 0.9)
    assert (loss.values, loss.best) == ((None, 2.0), 2.0)


def test_of_two_losses_the_smaller_is_better() -> None:
    """The best value of a loss is the lowest."""
    (loss,) = compare_metrics([{"log_loss": 0.5}, {"log_loss": 0.2}])

    assert loss.best == 0.2


def test_a_manifest_without_metrics_can_be_shown() -> None:
    """Every view model of it is empty."""
    silent = replace(default_model(), metrics={})

    assert (compare_metrics([{}]), confusion(silent), baselines(silent)) == ([], [], {})


def test_a_single_mistaken_row_is_shaded() -> None:
    """It must not look like none; a class that is always right is as dark as can be."""
    held_out = {"confusion": [[999, 1], [0, 10]]}
    (_, mistake), (none, right) = confusion(
        replace(default_model(), metrics={"held_out": held_out})
    )

    assert (mistake.shade, none.shade, right.shade) == (1, 0, 9)


def test_bars_show_density_and_fill_the_width() -> None:
    """Half the rows in a tenth of the range make the highest bar."""
    narrow, wide = histogram_bars(Histogram(edges=(0.0, 1.0, 10.0), counts=(50, 50)))

    assert (narrow.x, narrow.y) == (0, 0)
    assert narrow.height == pytest.approx(28)
    assert narrow.width + wide.width == pytest.approx(120)
    assert wide.height == pytest.approx(28 / 9)


def test_a_histogram_without_rows_is_flat() -> None:
    """Nothing is divided by nothing."""
    (bar,) = histogram_bars(Histogram(edges=(0.0, 1.0), counts=(0,)))

    assert bar.height == 0
