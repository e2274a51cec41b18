"""Webhooks: their secrets, and sending again what was given up."""

import argparse
import secrets
from datetime import timedelta

from shared.admin.command import Group, Output, Stage
from shared.db.webhooks import redeliver_failed
from shared.domain.errors import SettingsInvalid
from shared.domain.webhooks import secret_of, show_secret


def secret(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Make a secret for the settings, or show the one of a key that follows from them."""
    if arguments.key is None:
        shown = show_secret(secrets.token_bytes(32))
    elif masters := stage.settings.webhook_masters:
        shown = show_secret(secret_of(masters[0], arguments.key))
    else:
        raise SettingsInvalid("DRYBEANS_WEBHOOK_SECRETS is not set; make one without --key.")
    return Output(text=shown, document={"secret": shown})


def redeliver(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Send again the webhooks that were given up."""
    since = timedelta(hours=arguments.hours)
    again = stage.database.write(lambda c: redeliver_failed(c, since))
    return Output(text=f"{again} webhooks are sent again.", document={"webhooks": again})


def add_to(commands: Group) -> None:
    """Add `webhooks secret|redeliver`."""
    webhooks = commands.group("webhooks", "webhooks")
    shown = webhooks.add("secret", secret, "make a secret, or show a key's")
    shown.add_argument("--key", metavar="ID", help="the id of an API key")
    again = webhooks.add("redeliver", redeliver, "send again what was given up")
    again.add_argument("--hours", type=float, default=48.0, help="and last tried within them")
