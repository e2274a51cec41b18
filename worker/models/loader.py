"""The models a process holds: each artifact is verified, loaded and compiled once, at first use."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.domain.errors import DryBeansError, ModelUnavailable
from shared.domain.jobs import ModelPin
from shared.models.manifest import Manifest
from shared.models.registry import read_manifest
from worker.inference import Predictor, compile_predictor
from worker.models.artifacts import load

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 60.0
"""How long a refusal holds while the artifact's files do not change."""
_REMEMBERED_SECONDS: Final = 600.0

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedModel:
    """A loaded model. `lows` and `highs` are the training ranges, one value for each feature."""

    manifest: Manifest
    predictor: Predictor
    classes: NDArray[np.object_]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]


@dataclass(slots=True)
class Loading:
    """An attempt to load a model, made by a thread of its own.

    `reason` says why it failed, or why the attempt before it did.
    """

    stamp: Stamp
    reason: str = ""
    model: LoadedModel | None = None
    done: threading.Event = field(default_factory=threading.Event)
    ended: float = 0.0
    asked: float = 0.0


@dataclass(slots=True)
class ModelLoader:
    """Returns models by their pins, loading each at its first use.

    A thread of its own loads, so that a caller waits `patience` seconds at most, however slow the
    model is; the next caller finds it loaded. A refusal holds for a minute or until the files of
    the artifact change.
    """

    root: Path
    note: Callable[[Manifest], None] = lambda _: None
    patience: float = 60.0
    _loads: dict[ModelPin, Loading] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, pin: ModelPin) -> LoadedModel:
        """Return the model that `pin` names.

        Raises `ModelUnavailable`, with the reason, when this process cannot load it: there is no
        such artifact, it has another SHA-256, it is damaged or does not load here, or it is still
        being loaded.
        """
        loading = self._loads.get(pin)
        if loading is None or loading.model is None:
            loading = self.start(pin)
            loading.asked = time.monotonic()
            if not loading.done.wait(self.patience):
                raise ModelUnavailable(f"{pin.id} is still being loaded.")
        if loading.model is None:
            raise ModelUnavailable(loading.reason)
        return loading.model

    def settled(self, pin: ModelPin) -> bool:
        """Return whether an attempt to load what `pin` names has come to an end."""
        loading = self._loads.get(pin)
        return loading is not None and (loading.done.is_set() or bool(loading.reason))

    def start(self, pin: ModelPin) -> Loading:
        """Start loading what `pin` names, unless it is loaded, being loaded or was just refused."""
        with self._lock:
            known = self._loads.get(pin)
            if known is not None and not self._stale(pin, known):
                return known
            loading = Loading(stamp(self._folder(pin)))
            if known is not None:
                loading.reason, loading.asked = known.reason, known.asked
            self._loads[pin] = loading
        name = f"load {pin.id}"
        threading.Thread(target=self._load, args=(pin, loading), name=name, daemon=True).start()
        return loading

    def refused(self) -> Iterator[tuple[ModelPin, str, bool]]:
        """Yield each pin that could not be loaded, why, and whether it was wanted lately."""
        since = time.monotonic() - _REMEMBERED_SECONDS
        for pin, loading in list(self._loads.items()):
            if loading.model is None and loading.reason:
                yield pin, loading.reason, loading.asked > since

    def _folder(self, pin: ModelPin) -> Path:
        return self.root / pin.name / str(pin.version)

    def _stale(self, pin: ModelPin, loading: Loading) -> bool:
        if loading.model is not None or not loading.done.is_set():
            return False
        old = time.monotonic() - loading.ended > _RETRY_SECONDS
        return old or loading.stamp != stamp(self._folder(pin))

    def _load(self, pin: ModelPin, loading: Loading) -> None:
        try:
            loading.model = self._read(pin)
        except DryBeansError as error:
            loading.reason = error.detail.replace(f"{self.root}/", "")
            log.error(  # noqa: TRY400 - the reason says it all
                "model_unavailable", extra={"model": pin.id, "reason": error.detail}
            )
        except BaseException as error:  # a model's own code may raise anything, SystemExit too
            loading.reason = f"{pin.id} could not be loaded ({type(error).__name__}: {error})."
            log.exception("model_unavailable", extra={"model": pin.id})
        finally:
            loading.ended = time.monotonic()
            loading.done.set()

    def _read(self, pin: ModelPin) -> LoadedModel:
        folder = self._folder(pin)
        if not folder.is_dir():
            raise ModelUnavailable(f"This worker has no {pin.id}.")
        _check_pin(read_manifest(folder), pin)
        artifact = load(folder)
        manifest = artifact.manifest
        # The folder may have been replaced between the two readings.
        _check_pin(manifest, pin)
        model = LoadedModel(
            manifest=manifest,
            predictor=compile_predictor(artifact.estimator),
            classes=np.array(manifest.classes, dtype=object),
            lows=np.array([feature.minimum for feature in manifest.features]),
            highs=np.array([feature.maximum for feature in manifest.features]),
        )
        self.note(manifest)
        return model


def _check_pin(manifest: Manifest, pin: ModelPin) -> None:
    if manifest.sha256 != pin.sha256:
        raise ModelUnavailable(
            f"{pin.id} has the SHA-256 {manifest.sha256} on this worker; the job was accepted for "
            f"{pin.sha256}."
        )


def stamp(folder: Path) -> Stamp:
    """Return what changes when a file in `folder` is written, replaced or removed."""
    try:
        files = sorted(folder.iterdir())
        found = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)
