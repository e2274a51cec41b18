"""The operator's commands: `python -m shared.admin keys|webhooks …`."""

import argparse
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.db.deliveries import redeliver_failed
from shared.db.engine import Database, open_database
from shared.db.keys import add_key, list_keys, revoke_key, rotate_key
from shared.domain.errors import DryBeansError, SettingsInvalid
from shared.domain.keys import ApiKey, new_key_id, new_secret
from shared.domain.webhooks import secret_of, show_secret
from shared.settings import read_settings


def create(database: Database, arguments: argparse.Namespace) -> str:
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
        created_at=datetime.now(UTC),
        last_used_at=None,
        revoked_at=None,
    )
    database.write(lambda c: add_key(c, key))
    return f"{secret.text}\n\nThis is the only time the key is shown."


def show(database: Database, _arguments: argparse.Namespace) -> str:
    """List the keys."""
    lines = [f"{'id':<14}{'name':<24}{'created':<18}{'last used':<18}state"]
    for key in database.read(list_keys):
        state = f"revoked {_day(key.revoked_at)}" if key.revoked_at else "valid"
        created, used = _day(key.created_at), _day(key.last_used_at)
        lines.append(f"{key.id:<14}{key.name[:22]:<24}{created:<18}{used:<18}{state}")
    return "\n".join(lines)


def rotate(database: Database, arguments: argparse.Namespace) -> str:
    """Give a key a new secret and show it, once."""
    secret = new_secret(arguments.id)
    grace = timedelta(hours=arguments.grace_hours)
    database.write(lambda c: rotate_key(c, arguments.id, secret.hash, grace))
    hours = f"{arguments.grace_hours:g}"
    return f"{secret.text}\n\nThe former secret is valid for {hours} more hours."


def revoke(database: Database, arguments: argparse.Namespace) -> str:
    """Refuse a key from now on."""
    database.write(lambda c: revoke_key(c, arguments.id))
    return f"{arguments.id} is revoked; every API process knows within 5 seconds."


def webhook_secret(_database: Database, arguments: argparse.Namespace) -> str:
    """Make a secret for the settings, or show the one of a key that follows from them."""
    if arguments.key is None:
        return show_secret(secrets.token_bytes(32))
    masters = read_settings().webhook_masters
    if not masters:
        raise SettingsInvalid("DRYBEANS_WEBHOOK_SECRETS is not set; make one without --key.")
    return show_secret(secret_of(masters[0], arguments.key))


def redeliver(database: Database, arguments: argparse.Namespace) -> str:
    """Send again the webhooks that were given up."""
    since = timedelta(hours=arguments.hours)
    return f"{database.write(lambda c: redeliver_failed(c, since))} webhooks are sent again."


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shared.admin", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    keys = commands.add_parser("keys", help="API keys")
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    made = actions.add_parser("create", help="make a key")
    made.add_argument("--name", required=True, help="whose key it is")
    made.add_argument("--requests-per-second", type=float, help="quota; none without")
    made.add_argument("--queued-rows", type=int, help="quota; none without")
    made.set_defaults(action=create)
    actions.add_parser("list", help="list the keys").set_defaults(action=show)
    turned = actions.add_parser("rotate", help="give a key a new secret")
    turned.add_argument("id")
    turned.add_argument("--grace-hours", type=float, default=24.0, help="for the former secret")
    turned.set_defaults(action=rotate)
    ended = actions.add_parser("revoke", help="refuse a key from now on")
    ended.add_argument("id")
    ended.set_defaults(action=revoke)
    _add_webhooks(commands)
    return parser


def _add_webhooks(commands: Any) -> None:  # noqa: ANN401 - argparse keeps its type to itself
    webhooks = commands.add_parser("webhooks", help="webhooks")
    actions = webhooks.add_subparsers(required=True, metavar="ACTION")
    secret = actions.add_parser("secret", help="make a secret, or show a key's")
    secret.add_argument("--key", metavar="ID", help="the id of an API key")
    secret.set_defaults(action=webhook_secret)
    again = actions.add_parser("redeliver", help="send again what was given up")
    again.add_argument("--hours", type=float, default=48.0, help="and last tried within them")
    again.set_defaults(action=redeliver)


def main(words: Sequence[str] | None = None) -> None:
    """Run one command on the database that the settings name."""
    arguments = _parser().parse_args(words)
    try:
        database = open_database(read_settings().database_url.get_secret_value(), connections=1)
        print(arguments.action(database, arguments))  # noqa: T201 - its output
    except DryBeansError as error:
        raise SystemExit(f"admin: {error.detail}") from None


if __name__ == "__main__":
    main()
