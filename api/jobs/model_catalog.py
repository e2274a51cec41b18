"""The model catalog: reloaded when the model folder changes, kept while the folder is invalid."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.domain.errors import ManifestInvalid
from shared.domain.jobs import ModelPin
from shared.models.manifest import Manifest
from shared.models.registry import ModelRegistry

log = logging.getLogger(__name__)

_REFRESH_SECONDS: Final = 1.0
"""The minimum number of seconds between two checks of the folder."""

_Stamps = frozenset[tuple[str, int]]


class ModelCatalog:
    """The catalog of models in a folder, which may change while the service runs.

    An invalid change is logged, and the last valid catalog stays in use.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Load the catalog at `root`. Raise `ManifestInvalid`: the service needs one to start."""
        self._root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at = clock()
        self._stamps = _stamps(root)
        self._catalog = ModelRegistry.read(root)

    def __call__(self) -> ModelRegistry:
        """Return the current catalog."""
        with self._lock:
            if self._clock() - self._checked_at >= _REFRESH_SECONDS:
                self._checked_at = self._clock()
                self._refresh()
            return self._catalog

    def _refresh(self) -> None:
        try:
            stamps = _stamps(self._root)
            if stamps != self._stamps:
                # Set first, so that an invalid folder is logged once and not every second.
                self._stamps = stamps
                self._catalog = ModelRegistry.read(self._root)
        except (ManifestInvalid, OSError) as error:
            log.error("catalog_kept", extra={"reason": str(error)})  # noqa: TRY400 - not a bug

    def resolve(self, name: str) -> Manifest:
        """Return the manifest that `name` refers to. Raise `ModelUnknown`."""
        return self().resolve(name)

    def find(self, pin: ModelPin) -> Manifest | None:
        """Return the manifest of exactly this artifact, None if the folder does not have it."""
        manifest = self().models.get(pin.name, {}).get(pin.version)
        return manifest if manifest is not None and manifest.pin == pin else None


def _stamps(root: Path) -> _Stamps:
    files = root.glob("*/**/*.json")
    return frozenset((str(file), file.stat().st_mtime_ns) for file in files)
