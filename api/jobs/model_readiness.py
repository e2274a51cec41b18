"""Readiness of models: a model is ready while a live worker can load it."""

from collections.abc import Callable, Sequence

from shared.broker.heartbeats import SILENT_SECONDS, Heartbeat
from shared.domain.errors import QueueDown
from shared.models.manifest import Manifest
from shared.observability.worker_status import read_status


class ModelReadiness:
    """Check models against the last heartbeats of the workers."""

    def __init__(self, read: Callable[[], Sequence[Heartbeat]]) -> None:
        """Use `read`, which returns the last heartbeats of all processes."""
        self._read = read

    def __call__(self, manifest: Manifest) -> bool:
        """Return whether a worker reports that it can load the artifact of `manifest`.

        Return False while Redis is down: no worker can be reached then.
        """
        try:
            heartbeats = self._read()
        except QueueDown:
            return False
        current = (one.details for one in heartbeats if one.age < SILENT_SECONDS)
        statuses = (status for details in current if (status := read_status(details)))
        return any(status.can_load(manifest.id, manifest.sha256) for status in statuses)
