"""Which models a process can load: what lies in the folder of artifacts, and what was tried."""

from pathlib import Path
from typing import Final

from shared.domain.errors import DryBeansError
from shared.domain.jobs import ModelPin
from shared.models.registry import ModelRegistry, check_model, read_manifest, version_folders
from worker.models.artifacts import check_libraries
from worker.models.loader import Loading, ModelLoader, Stamp, stamp

_UNREADABLE: Final = "its folder cannot be read"


class ModelInventory:
    """Verifies the artifacts under the models' root whenever their files change.

    Verifying is less than loading: manifest, size, hash, libraries. What fails to load although
    it was verified is refused too, and tried again from time to time.
    """

    def __init__(self, models: ModelLoader) -> None:
        """Look into the folder of `models`."""
        self._models = models
        self._verified: dict[Path, tuple[Stamp, ModelPin | str]] = {}

    def warm(self, default_model: str) -> Loading | None:
        """Start loading what jobs get that name no model; return None when there is no such."""
        try:
            manifest = ModelRegistry.read(self._models.root).resolve(default_model)
        except (DryBeansError, OSError):
            # The folder's state shows in the inventory; other models may still be loaded.
            return None
        return self._models.start(manifest.pin)

    def read(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the SHA-256 of each artifact that can be loaded, and why each other cannot."""
        available, refused = self._read_folder()
        for pin, reason, wanted in self._models.refused():
            here = available.get(pin.id) == pin.sha256
            if here:
                self._models.start(pin)
                del available[pin.id]
            if here or wanted:
                refused[pin.id] = reason
        return available, refused

    def _read_folder(self) -> tuple[dict[str, str], dict[str, str]]:
        folders = self._folders()
        self._verified = {folder: self._verify(folder) for folder in folders}
        pins = [found for _, found in self._verified.values() if isinstance(found, ModelPin)]
        refused = {
            f"{folder.parent.name}@{folder.name}": found
            for folder, (_, found) in self._verified.items()
            if isinstance(found, str)
        }
        return {pin.id: pin.sha256 for pin in pins}, refused

    def _folders(self) -> list[Path]:
        try:
            return version_folders(self._models.root)
        except OSError:
            # A version is being replaced or removed at this moment.
            return list(self._verified)

    def _verify(self, folder: Path) -> tuple[Stamp, ModelPin | str]:
        now, before = stamp(folder), self._verified.get(folder)
        if before is not None and before[0] == now:
            return before
        try:
            manifest = read_manifest(folder)
            check_model(folder, manifest)
            check_libraries(manifest)
        except DryBeansError as error:
            return now, error.detail.replace(f"{self._models.root}/", "")
        except OSError as error:
            return now, f"{_UNREADABLE} ({error.strerror})."
        return now, manifest.pin
