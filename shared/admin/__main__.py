"""Runs the operator's commands."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shared.admin import doctor, jobs, keys, schema, webhooks, work
from shared.admin.command import Group, Stage
from shared.db.server_info import describe_driver_errors
from shared.domain.errors import DryBeansError
from shared.embedded.running import adopt_running
from shared.settings import read_settings

_VAR: Final = Path(__file__).resolve().parents[2] / "var"

# Each adds its own; a new group of commands is one more module here.
_GROUPS = (doctor, jobs, work, schema, keys, webhooks)


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    made = argparse.ArgumentParser(
        prog="python -m shared.admin",
        description="Look after drybeans, where the settings or a running `make up` say it is.",
    )
    made.add_argument(
        "--var",
        type=Path,
        default=_VAR,
        help="the folder of `make up` (default: %(default)s)",
    )
    commands = Group(made.add_subparsers(required=True, metavar="COMMAND"))
    for group in _GROUPS:
        group.add_to(commands)
    return made


def main(words: Sequence[str] | None = None) -> None:
    """Run one command on what the settings name."""
    arguments = parser().parse_args(words)
    adopt_running(arguments.var)
    try:
        with describe_driver_errors():
            output = arguments.action(Stage(read_settings()), arguments)
    except DryBeansError as error:
        raise SystemExit(f"admin: {error.detail}") from None
    print(json.dumps(output.document) if arguments.json else output.text)  # noqa: T201 - its output
    raise SystemExit(output.code)


if __name__ == "__main__":
    main()
