"""Idempotency keys: which job a client's key has already made."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, select, update

from shared.db.schema import idempotency_keys
from shared.db.types import now
from shared.domain.chunks import Idempotency
from shared.domain.jobs import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """The job that a key has made. `fingerprint` is None while its upload is still arriving."""

    job: JobId
    fingerprint: str | None


def find_key(connection: Connection, owner: str, key_hash: str) -> KnownKey | None:
    """Look a key up."""
    row = connection.execute(
        select(*idempotency_keys.c["job_id", "fingerprint"]).where(
            idempotency_keys.c.owner == owner, idempotency_keys.c.key_hash == key_hash
        )
    ).first()
    if row is None:
        return None
    return KnownKey(job=JobId(row.job_id), fingerprint=row.fingerprint)


def complete_key(connection: Connection, owner: str, key: Idempotency) -> None:
    """Note the fingerprint of an upload that has arrived."""
    connection.execute(
        update(idempotency_keys)
        .where(idempotency_keys.c.owner == owner, idempotency_keys.c.key_hash == key.key_hash)
        .values(fingerprint=key.fingerprint)
    )


def delete_key_of(connection: Connection, job: JobId) -> None:
    """Free the key of a job that came to nothing, so that the client can send it again."""
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.job_id == job))


def delete_old_keys(connection: Connection, age: timedelta, limit: int) -> int:
    """Delete up to `limit` keys older than `age`, and count them."""
    old = idempotency_keys.c.created_at < now(-age.total_seconds())
    jobs = list(connection.scalars(select(idempotency_keys.c.job_id).where(old).limit(limit)))
    if not jobs:
        return 0
    return connection.execute(
        delete(idempotency_keys).where(old, idempotency_keys.c.job_id.in_(jobs))
    ).rowcount
