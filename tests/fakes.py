"""Parts that stand in for slow or rare ones in tests: real classes that work, only smaller."""

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.domain.chunks import Dispatch
from shared.domain.errors import ModelUnavailable, QueueDown
from shared.domain.jobs import JobId, ModelPin
from shared.models.manifest import Manifest
from tests.models import a_manifest
from worker.inference import RowsRefused
from worker.models.loader import LoadedModel

Floats = NDArray[np.float64]


class FakePredictor:
    """Labels a row by its first number, n as class n of "a", "b" and "c".

    A row that begins with a number of `refuses` is refused; one of `breaks` raises, as a bug would.
    `asked` keeps how many rows each call had.
    """

    classes = ("a", "b", "c")
    supports_probabilities = True

    def __init__(self, *, refuses: Collection[float] = (), breaks: Collection[float] = ()) -> None:
        self.asked: list[int] = []
        self._refuses, self._breaks = list(refuses), list(breaks)

    def predict(self, rows: Floats) -> NDArray[np.intp]:
        self.asked.append(len(rows))
        first = rows[:, 0]
        if np.isin(first, self._breaks).any():
            message = "the model has a bug"
            raise ZeroDivisionError(message)
        refused = np.flatnonzero(np.isin(first, self._refuses))
        if refused.size:
            raise RowsRefused(refused)
        return first.astype(np.intp)

    def predict_proba(self, rows: Floats) -> Floats:
        return np.eye(3)[self.predict(rows)] * 0.7 + 0.1


def a_loaded_model(predictor: FakePredictor, manifest: Manifest | None = None) -> LoadedModel:
    """Make a model of `predictor`, with the features and ranges of `manifest`."""
    manifest = manifest or a_manifest()
    return LoadedModel(
        manifest=manifest,
        predictor=predictor,
        classes=np.array(predictor.classes, dtype=object),
        lows=np.array([feature.minimum for feature in manifest.features]),
        highs=np.array([feature.maximum for feature in manifest.features]),
    )


class FakeModels:
    """Returns `model` for every pin, or refuses with `reason`; the first call may take long.

    It is `settled` once it was called, or from the beginning.
    """

    def __init__(
        self,
        model: LoadedModel | None = None,
        *,
        reason: str = "",
        settled: bool = True,
        load: Callable[[], object] = lambda: None,
    ) -> None:
        self.asked: list[ModelPin] = []
        self._model, self._reason = model, reason
        self._settled, self._load = settled, load

    def settled(self, pin: ModelPin) -> bool:
        del pin
        return self._settled

    def __call__(self, pin: ModelPin) -> LoadedModel:
        self.asked.append(pin)
        if not self._settled:
            self._load()
            self._settled = True
        if self._model is None:
            raise ModelUnavailable(self._reason)
        return self._model


class FakeQueue:
    """Takes messages and hints, or refuses them while it is `down`, and keeps what it took."""

    def __init__(self) -> None:
        self.published: list[Dispatch] = []
        self.notified: set[JobId] = set()
        self.ended: set[JobId] = set()
        self.calls = 0
        self.down = False

    def check(self) -> None:
        if self.down:
            raise QueueDown

    def publish(self, dispatches: Sequence[Dispatch]) -> int:
        self.calls += 1
        if self.down:
            raise QueueDown
        self.published += dispatches
        return 1

    def notify(self, jobs: Iterable[JobId], *, ended: bool) -> None:
        if self.down:
            raise QueueDown
        (self.ended if ended else self.notified).update(jobs)
