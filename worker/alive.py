"""The worker's health: `python -m worker.alive FILE [SECONDS]`, asked by probes.

Without Redis no worker can beat, and restarting them all would only make the return slower: what
counts as ill is a worker that is deaf while Redis speaks.
"""

import sys

from shared.alive import main as sign_of_life


def main(arguments: list[str]) -> str | None:
    """Give None when the last beat is young enough or Redis is away, else what is wrong."""
    wrong = sign_of_life(arguments)
    return wrong if wrong and _redis_answers() else None


def _redis_answers() -> bool:
    # Imported when the beat is late, which is seldom: a probe runs every few seconds.
    from shared.domain.errors import QueueDown  # noqa: PLC0415
    from shared.queue import MessageQueue  # noqa: PLC0415
    from shared.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    try:
        MessageQueue(settings.redis_url.get_secret_value(), settings.message_limits).ping()
    except QueueDown:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
