"""Turns a fitted classifier and the table behind it into an artifact, manifest and all."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.models.manifest import Golden, Manifest
from shared.models.registry import last_published, version_numbers
from worker.models.artifacts import MODEL_FILE, Estimator, golden_of, publish
from worker.training.profile import features_of, made_up_rows
from worker.training.table import Floats, Table

_LIBRARIES: Final = ("numpy", "scipy", "scikit-learn", "skops")
_GOLDEN_ROWS: Final = 35
_GOLDEN_SEED: Final = 1
_SAMPLE_ROWS: Final = 3
_SAMPLE_SEED: Final = 2
_NUDGE: Final = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What people are told about a version, and how it enters the catalog.

    `trusted` names types inside the model that are neither skops' nor scikit-learn's own.
    `default` lets the plain name stand for this version; `replace_unpublished` allows to write over
    it as long as it is not published.
    """

    name: str
    version: int
    description: str
    label_rule: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    default: bool = True
    replace_unpublished: bool = False


def release(root: Path, about: Release, estimator: Estimator, table: Table) -> Path:
    """Publish `estimator` under `root` and return its folder.

    The ranges and histograms are those of `table`, which should be what the model was trained on.
    Golden and sample rows are made up after it. Raises `ArtifactRefused`.
    """
    manifest = Manifest(
        name=about.name,
        version=about.version,
        description=about.description,
        features=features_of(table),
        classes=tuple(map(str, estimator.classes_)),
        outputs=("label", "probabilities") if hasattr(estimator, "predict_proba") else ("label",),
        label_rule=about.label_rule,
        model_file=MODEL_FILE,
        model_bytes=1,
        sha256="0" * 64,
        trusted_types=about.trusted,
        libraries={},
        golden=_golden(estimator, table),
        metrics=about.metrics,
        training={**about.training, "environment": _environment()},
        sample=_sample(table),
    )
    return publish(
        root,
        manifest,
        estimator,
        replace_unpublished=about.replace_unpublished,
        default=about.default,
    )


def choose_version(root: Path, name: str, *, replace_unpublished: bool = False) -> int:
    """Return the version that the next publication of model `name` under `root` takes.

    The next one; with `replace_unpublished` the newest, as long as it is not published.
    """
    newest = max(version_numbers(root / name), default=0)
    replaceable = replace_unpublished and newest > last_published(root / name)
    return newest if replaceable else newest + 1


def _golden(estimator: Estimator, table: Table) -> Golden:
    """Make up golden rows, leaving out those so near a border that rounding may tip their label."""
    classes = len(np.unique(table.labels))
    rows = made_up_rows(table, per_class=-(-_GOLDEN_ROWS // classes), seed=_GOLDEN_SEED)
    here = golden_of(estimator, rows).labels
    nudged = [golden_of(estimator, rows * (1.0 + nudge)).labels for nudge in (-_NUDGE, _NUDGE)]
    steady = [i for i, label in enumerate(here) if all(labels[i] == label for labels in nudged)]
    # A model that is unsteady everywhere still needs golden rows.
    return golden_of(estimator, rows[steady] if steady else rows)


def _sample(table: Table) -> tuple[tuple[float, ...], ...]:
    rows: Floats = made_up_rows(table, per_class=1, seed=_SAMPLE_SEED)[:_SAMPLE_ROWS]
    return tuple(map(tuple, rows.tolist()))


def _environment() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}
