"""The `drybeans` command.

Exit codes: 0 all is well, 1 some rows have no label, 2 failed or refused, 64 the command was
written wrongly, 130 stopped by Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence

import click

from api.client.commands import COMMANDS
from api.client.errors import ClientError
from api.client.session import FAILED, INTERRUPTED, OK, USAGE, Stopped, advice_for
from api.client.terminal import Terminal


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="DRYBEANS_URL and DRYBEANS_API_KEY say where the service is and who you are.",
)
def drybeans() -> None:
    """Label rows of measurements with a drybeans service.

    Exit codes: 0 all is well, 1 some rows have no label, 2 failed or refused, 64 the command was
    written wrongly, 130 stopped by Ctrl-C.
    """


for _command in COMMANDS:
    drybeans.add_command(_command)


def run(words: Sequence[str]) -> int:
    """Run one command and give its exit code; whatever happens is told in a sentence."""
    terminals: list[Terminal] = []
    try:
        code = drybeans.main(
            list(words), prog_name="drybeans", standalone_mode=False, obj=terminals
        )
    except click.UsageError as error:
        error.show()
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return INTERRUPTED
    except ClientError as error:
        terminal = terminals[0] if terminals else Terminal(machine=False)
        terminal.fail(error, advice_for(error))
        return FAILED
    return code if isinstance(code, int) else OK


def main() -> None:
    """Run the command that the shell gives."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read our output has seen enough; Python must not complain when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    raise SystemExit(code)
