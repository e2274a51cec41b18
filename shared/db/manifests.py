"""Stores the manifests of models that jobs were accepted for, and reads them back."""

from dataclasses import replace
from typing import TypeVar

import orjson
from sqlalchemy import Column, Connection, Select, insert, select
from sqlalchemy.exc import IntegrityError

from shared.db.schema import manifests
from shared.domain.jobs import ModelPin
from shared.models.manifest import Manifest, manifest_document, parse_manifest

T = TypeVar("T")


def insert_manifest(connection: Connection, manifest: Manifest) -> None:
    """Store `manifest`, without metrics and training, unless one is stored under its pin."""
    if is_manifest_stored(connection, manifest.pin):
        return
    # No reader of results needs these two, which may be nested as deeply as their author likes.
    kept = replace(manifest, metrics={}, training={})
    row = {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "document": orjson.dumps(manifest_document(kept)),
    }
    try:
        connection.execute(insert(manifests), [row])
    except IntegrityError:
        # Another process has stored it since.
        return


def is_manifest_stored(connection: Connection, pin: ModelPin) -> bool:
    """Return whether a manifest is stored under `pin`."""
    return connection.scalar(_select(manifests.c.name, pin)) is not None


def read_manifest(connection: Connection, pin: ModelPin) -> Manifest | None:
    """Read the manifest under `pin`, or return None when there is none.

    Raises `ManifestInvalid` when another release wrote it in a format that is not known here.
    """
    document = connection.scalar(_select(manifests.c.document, pin))
    return None if document is None else parse_manifest(orjson.loads(document))


def _select(column: Column[T], pin: ModelPin) -> Select[T]:
    return select(column).where(
        manifests.c.name == pin.name,
        manifests.c.version == pin.version,
        manifests.c.sha256 == pin.sha256,
    )
