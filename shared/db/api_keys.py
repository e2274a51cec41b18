"""Stores API keys."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import Connection, func, insert, select, update

from shared.db.schema import api_keys, jobs
from shared.db.types import AnyRow, now
from shared.domain.errors import KeyUnknown
from shared.domain.jobs import UNFINISHED, JobId
from shared.domain.keys import ApiKey


def add_key(connection: Connection, key: ApiKey) -> None:
    """Store a new key."""
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            name=key.name,
            secret_hash=key.secret_hash,
            requests_per_second=key.requests_per_second,
            queued_rows=key.queued_rows,
            created_at=key.created_at,
        )
    )


def read_api_key(connection: Connection, key_id: str) -> ApiKey | None:
    """Read one key, or None when there is none."""
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
    return None if row is None else _key(row)


def read_api_keys(connection: Connection, key_ids: Sequence[str]) -> dict[str, ApiKey]:
    """Read those of the keys `key_ids` that exist."""
    rows = connection.execute(select(api_keys).where(api_keys.c.id.in_(key_ids)))
    return {row.id: _key(row) for row in rows}


def list_keys(connection: Connection) -> list[ApiKey]:
    """List all keys, oldest first."""
    return [
        _key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created_at))
    ]


def _key(row: AnyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        secret_hash=row.secret_hash,
        previous_hash=row.previous_hash,
        previous_until=row.previous_until,
        requests_per_second=row.requests_per_second,
        queued_rows=row.queued_rows,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def revoke_key(connection: Connection, key_id: str) -> None:
    """Refuse a key from now on. Raises `KeyUnknown`."""
    revoked = connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(revoked_at=func.coalesce(api_keys.c.revoked_at, now()))
    )
    if not revoked.rowcount:
        raise KeyUnknown


def rotate_key(connection: Connection, key_id: str, secret_hash: str, grace: timedelta) -> None:
    """Return a key a new secret; the present one counts for `grace` longer. Raises `KeyUnknown`."""
    key = read_api_key(connection, key_id)
    if key is None or key.revoked_at is not None:
        raise KeyUnknown
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(
            secret_hash=secret_hash,
            previous_hash=key.secret_hash,
            previous_until=now(grace.total_seconds()),
        )
    )


def record_use(connection: Connection, key_id: str) -> None:
    """Note that a key was used just now."""
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=now()))


def queued_rows(connection: Connection, owner: str, without: Collection[JobId] = ()) -> int:
    """Count the rows of `owner`, but of the jobs `without`, that were accepted and not yet run."""
    left = jobs.c.rows_total - jobs.c.rows_succeeded - jobs.c.rows_failed
    query = select(func.sum(left)).where(jobs.c.owner == owner, jobs.c.state.in_(UNFINISHED))
    if without:
        query = query.where(jobs.c.id.not_in(without))
    return int(connection.scalar(query) or 0)
