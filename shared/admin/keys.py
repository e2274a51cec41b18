"""API keys: make one, list them, replace a secret, refuse one."""

import argparse
from datetime import timedelta

from shared.admin.command import Group, Output, Stage, day, stamp, table
from shared.db.api_keys import add_key, list_keys, revoke_key, rotate_key
from shared.db.queries.inspection import read_clock
from shared.domain.keys import ApiKey, new_key_id, new_secret


def create(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Make a key and show it, once."""
    key_id = new_key_id()
    secret = new_secret(key_id)
    key = ApiKey(
        id=key_id,
        name=arguments.name,
        secret_hash=secret.hash,
        previous_hash=None,
        previous_until=None,
        requests_per_second=arguments.requests_per_second,
        queued_rows=arguments.queued_rows,
        created_at=stage.database.read(read_clock),
        last_used_at=None,
        revoked_at=None,
    )
    stage.database.write(lambda c: add_key(c, key))
    return Output(
        text=f"{secret.text}\n\nThis is the only time the key is shown.",
        document={"id": key_id, "key": secret.text},
    )


def show(stage: Stage, _arguments: argparse.Namespace) -> Output:
    """List the keys."""
    found = stage.database.read(list_keys)
    rows = (
        (
            key.id, key.name, day(key.created_at), day(key.last_used_at),
            f"revoked {day(key.revoked_at)}" if key.revoked_at else "valid",
        )
        for key in found
    )  # fmt: skip
    return Output(
        text=table(("id", "name", "created", "last used", "state"), rows),
        document=[_document(key) for key in found],
    )


def _document(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "requests_per_second": key.requests_per_second,
        "queued_rows": key.queued_rows,
        "created_at": stamp(key.created_at),
        "last_used_at": stamp(key.last_used_at),
        "revoked_at": stamp(key.revoked_at),
    }


def rotate(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Return a key a new secret and show it, once."""
    secret = new_secret(arguments.id)
    grace = timedelta(hours=arguments.grace_hours)
    stage.database.write(lambda c: rotate_key(c, arguments.id, secret.hash, grace))
    hours = f"{arguments.grace_hours:g}"
    return Output(
        text=f"{secret.text}\n\nThe former secret is valid for {hours} more hours.",
        document={"id": arguments.id, "key": secret.text},
    )


def revoke(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Refuse a key from now on."""
    stage.database.write(lambda c: revoke_key(c, arguments.id))
    return Output(
        text=f"{arguments.id} is revoked; every API process knows within 5 seconds.",
        document={"id": arguments.id, "revoked": True},
    )


def add_to(commands: Group) -> None:
    """Add `keys create|list|rotate|revoke`."""
    keys = commands.group("keys", "API keys")
    made = keys.add("create", create, "make a key")
    made.add_argument("--name", required=True, help="whose key it is")
    made.add_argument("--requests-per-second", type=float, help="quota; none without")
    made.add_argument("--queued-rows", type=int, help="quota; none without")
    keys.add("list", show, "list the keys")
    turned = keys.add("rotate", rotate, "give a key a new secret")
    turned.add_argument("id")
    turned.add_argument("--grace-hours", type=float, default=24.0, help="for the former secret")
    ended = keys.add("revoke", revoke, "refuse a key from now on")
    ended.add_argument("id")
