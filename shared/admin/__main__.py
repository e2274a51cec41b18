"""Runs the operator's commands."""

import argparse
import json
from collections.abc import Sequence

from shared.admin import doctor, jobs, keys, schema, webhooks, work
from shared.admin.command import Group, Stage
from shared.db.server import in_plain_words
from shared.domain.errors import DryBeansError
from shared.settings import read_settings

# Each adds its own; a new group of commands is one more module here.
_GROUPS = (doctor, jobs, work, schema, keys, webhooks)


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    made = argparse.ArgumentParser(
        prog="python -m shared.admin",
        description="Look after drybeans; the settings say where it is.",
    )
    commands = Group(made.add_subparsers(required=True, metavar="COMMAND"))
    for group in _GROUPS:
        group.add_to(commands)
    return made


def main(words: Sequence[str] | None = None) -> None:
    """Run one command on what the settings name."""
    arguments = parser().parse_args(words)
    try:
        with in_plain_words():
            output = arguments.action(Stage(read_settings()), arguments)
    except DryBeansError as error:
        raise SystemExit(f"admin: {error.detail}") from None
    print(json.dumps(output.document) if arguments.json else output.text)  # noqa: T201 - its output
    raise SystemExit(output.code)


if __name__ == "__main__":
    main()
