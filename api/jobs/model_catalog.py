"""The models as they are now: read again when their folder changes, kept when it is broken."""

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
"""Seconds between two looks at the folder."""

_Stamps = frozenset[tuple[str, int]]


class ModelCatalog:
    """The catalog of models under a folder, which may change while the service runs.

    A change that breaks it is logged, and the last catalog that was whole stays.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the catalog at `root`. Raises `ManifestInvalid`: no service starts without one."""
        self._root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._stamps = _stamps(root)
        self._catalog = ModelRegistry.read(root)

    def __call__(self) -> ModelRegistry:
        """Return the catalog as it is now."""
        with self._lock:
            if self._clock() - self._looked >= _REFRESH_SECONDS:
                self._looked = self._clock()
                self._refresh()
            return self._catalog

    def _refresh(self) -> None:
        try:
            stamps = _stamps(self._root)
            if stamps != self._stamps:
                # Noted first, so that a broken folder is logged once and not every second.
                self._stamps = stamps
                self._catalog = ModelRegistry.read(self._root)
        except (ManifestInvalid, OSError) as error:
            log.error("catalog_kept", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours

    def resolve(self, name: str) -> Manifest:
        """Find the manifest that `name` stands for. Raises `ModelUnknown`."""
        return self().resolve(name)

    def find(self, pin: ModelPin) -> Manifest | None:
        """Return the manifest of just this artifact, or None when the folder does not have it."""
        manifest = self().models.get(pin.name, {}).get(pin.version)
        return manifest if manifest is not None and manifest.pin == pin else None


def _stamps(root: Path) -> _Stamps:
    files = root.glob("*/**/*.json")
    return frozenset((str(file), file.stat().st_mtime_ns) for file in files)
