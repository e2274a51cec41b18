"""Manifests of all models that jobs were accepted for, including removed ones."""

import logging

from api.jobs.model_catalog import ModelCatalog
from shared.db.engine import Database
from shared.db.manifests import insert_manifest, is_manifest_stored, read_manifest
from shared.domain.errors import ManifestInvalid
from shared.domain.jobs import Job, ModelPin
from shared.models.manifest import Manifest

log = logging.getLogger(__name__)


class ManifestStore:
    """Find a job's manifest in the model folder, or in the database after its removal there."""

    def __init__(self, database: Database, catalog: ModelCatalog) -> None:
        """Use `catalog`, and `database` for manifests that it does not have."""
        self._database = database
        self._catalog = catalog
        self._stored: set[ModelPin] = set()
        self._read: dict[ModelPin, Manifest] = {}

    def store(self, manifest: Manifest) -> None:
        """Store the `manifest` of an accepted job, once per process and model.

        The job is already committed, so an error is only logged; the next accepted job retries.
        """
        pin = manifest.pin
        if pin in self._stored:
            return
        try:
            self._database.write(
                lambda c: insert_manifest(c, manifest), lambda c: is_manifest_stored(c, pin)
            )
        except Exception as error:
            log.warning("manifest_not_stored", extra={"model": pin.id}, exc_info=error)
        else:
            self._stored.add(pin)

    def store_for(self, job: Job) -> None:
        """Store the manifest of `job`, which is a retry, if the model folder has it."""
        manifest = self._catalog.find(job.pin)
        if manifest is not None:
            self.store(manifest)

    def find(self, job: Job) -> Manifest | None:
        """Return the manifest of the artifact that `job` was accepted for.

        Return None when it is neither in the model folder nor stored: the job was accepted by a
        release that did not store manifests.
        """
        pin = job.pin
        found = self._catalog.find(pin) or self._read.get(pin)
        if found is None:
            found = self._read_stored(pin)
            if found is not None:
                self._read[pin] = found
        return found

    def _read_stored(self, pin: ModelPin) -> Manifest | None:
        try:
            return self._database.read(lambda c: read_manifest(c, pin))
        except ManifestInvalid as error:
            log.warning("manifest_unreadable", extra={"model": pin.id, "reason": str(error)})
            return None
