"""The worker's health: `python -m worker.alive FILE [SECONDS] [--ready]`, asked by probes.

Without a Redis that takes messages no worker can beat, and restarting them all would only make the
return slower: what counts as ill is a worker that is deaf while Redis is usable. With `--ready` a
worker that beats is also asked whether it can load its models: one that cannot is not restarted,
which would change nothing, but it is no reason to stop the workers that an upgrade replaces.
"""

import sys
from pathlib import Path

from shared.observability.heartbeat_file import main as sign_of_life
from shared.observability.worker_status import parse_status

_READY = "--ready"


def main(arguments: list[str]) -> str | None:
    """Return None when the last beat is young enough or Redis is away, else what is wrong."""
    given = [argument for argument in arguments if argument != _READY]
    wrong = sign_of_life(given)
    if wrong:
        return wrong if _redis_is_usable() else None
    return _unready(Path(given[0])) if _READY in arguments else None


def _unready(file: Path) -> str | None:
    status = parse_status(file.read_bytes())
    return " ".join(status.problems) or None if status else None


def _redis_is_usable() -> bool:
    # Imported when the beat is late, which is seldom: a probe runs every few seconds.
    from shared.broker.client import MessageQueue  # noqa: PLC0415
    from shared.domain.errors import QueueDown  # noqa: PLC0415
    from shared.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    try:
        MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits).check()
    except QueueDown:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
