"""Small models and manifests for tests; name only what matters to yours."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from shared.models.manifest import Feature, Golden, Histogram, Manifest

Floats = NDArray[np.float64]


def a_table(rows: int = 300, features: int = 3, classes: int = 3) -> tuple[Floats, NDArray[Any]]:
    """Make rows around one centre for each class, and their labels "a", "b", …."""
    random = np.random.default_rng(5)
    labels = np.arange(rows) % classes
    centres = random.normal(scale=4, size=(classes, features))
    names = np.array(list("abcdefghij"))
    return centres[labels] + random.normal(size=(rows, features)), names[labels]


def a_model() -> Any:
    """Fit a logistic regression to `a_table`."""
    return LogisticRegression().fit(*a_table())


def a_feature(name: str = "Area", **changes: Any) -> Feature:
    """Make a feature that ranges from -9 to 9."""
    feature = Feature(
        name=name,
        unit="pixels",
        description="How much of it there is.",
        aliases=(),
        minimum=-9.0,
        maximum=9.0,
        histogram=Histogram(edges=(-9.0, 0.0, 9.0), counts=(150, 150)),
    )
    return dataclasses.replace(feature, **changes)


def a_manifest(**changes: Any) -> Manifest:
    """Describe `a_model` as version 1 of "toy", golden row and all."""
    manifest = Manifest(
        name="toy",
        version=1,
        description="Tells a from b and c.",
        features=(a_feature("Area"), a_feature("Length", aliases=("Len",)), a_feature("Width")),
        classes=("a", "b", "c"),
        outputs=("label", "probabilities"),
        label_rule="The label is the class of the highest probability.",
        model_file="model.skops",
        model_bytes=1,
        sha256="0" * 64,
        trusted_types=(),
        libraries={},
        golden=Golden(rows=((0.0, 0.0, 0.0),), labels=("a",), probabilities=((1.0, 0.0, 0.0),)),
        metrics={"accuracy": 0.9},
        training={"rows": 300},
        sample=((0.0, 1.0, 2.0),),
    )
    return dataclasses.replace(manifest, **changes)


def an_artifact(root: Path, **changes: Any) -> Path:
    """Publish `a_model` under `root` and return its folder; `changes` are the manifest's."""
    from worker.models.artifacts import golden_of, publish  # noqa: PLC0415 - slow, and few tests need it

    model = a_model()
    golden = golden_of(model, a_table()[0][:5])
    return publish(root, a_manifest(**({"golden": golden} | changes)), model)
