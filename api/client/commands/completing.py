"""Let the shell complete the commands."""

import click
from click.shell_completion import get_completion_class

from api.client.session import OK


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print what has a shell complete the commands.

    In bash: source <(drybeans completion bash)
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click knows all three
    group = context.find_root().command
    print(found(group, {}, "drybeans", "_DRYBEANS_COMPLETE").source())
    return OK
