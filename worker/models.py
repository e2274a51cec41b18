"""The models a worker holds: each artifact is proven, loaded and compiled once per process."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.catalog import Catalog
from shared.domain.manifest import Manifest
from worker.artifacts import load
from worker.inference import Predictor, compile_predictor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A loaded model. `lows` and `highs` are the training ranges, one value for each feature."""

    manifest: Manifest
    predictor: Predictor
    classes: NDArray[np.object_]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]


@dataclass(slots=True)
class Models:
    """Gives a model by name and version, loading it at its first use."""

    root: Path
    note: Callable[[Manifest], None] = lambda _: None
    _loaded: dict[tuple[str, int], Model] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, name: str, version: int) -> Model:
        """Give model `name` in `version`.

        Raises `ModelUnknown` when this worker has no such artifact, `ArtifactRefused` when the
        artifact does not prove itself.
        """
        with self._lock:
            key = (name, version)
            if key not in self._loaded:
                self._loaded[key] = self._load(f"{name}@{version}")
            return self._loaded[key]

    def warm(self) -> None:
        """Load the default version of each model, so that the first job need not wait for it."""
        catalog = Catalog.read(self.root)
        for manifest in catalog.all():
            if manifest.version == catalog.default_version(manifest.name):
                self(manifest.name, manifest.version)

    def _load(self, name: str) -> Model:
        # Read anew: a version may have been published since this process began.
        catalog = Catalog.read(self.root)
        artifact = load(catalog.folder(catalog.resolve(name)))
        manifest = artifact.manifest
        self.note(manifest)
        return Model(
            manifest=manifest,
            predictor=compile_predictor(artifact.estimator),
            classes=np.array(manifest.classes, dtype=object),
            lows=np.array([feature.minimum for feature in manifest.features]),
            highs=np.array([feature.maximum for feature in manifest.features]),
        )
