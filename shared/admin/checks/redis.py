"""Is Redis there, and does it keep what it is given?"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from shared.admin.checks.finding import CheckResult, ok, warning, wrong
from shared.admin.command import Stage
from shared.broker.client import MAX_QUEUE_LENGTH
from shared.domain.errors import QueueDown
from shared.domain.jobs import Queue

_ABOUT: Final = "redis"
_OLDEST: Final = (6, 2)
_FULL: Final = 0.75


def check_redis(stage: Stage) -> Iterator[CheckResult]:
    """Look at Redis; what cannot be asked when it is away is left out."""
    url = stage.settings.redis_url.get_secret_value()
    try:
        stage.queue.ping()
        with Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
            facts: Mapping[str, Any] = client.info()
    except (QueueDown, RedisError, OSError) as error:
        detail = error.detail if isinstance(error, QueueDown) else str(error)
        yield wrong(
            _ABOUT, f"{detail.rstrip('.')}.",
            "Start it, or mend DRYBEANS_REDIS_URL. Workers read due work from the database "
            "meanwhile, more slowly.",
        )  # fmt: skip
        return
    yield from judge(facts)
    try:
        stage.queue.check()
        yield from _queues(stage)
    except QueueDown as error:
        yield wrong(
            _ABOUT, f"{error.detail.rstrip('.')}.",
            "Free or raise its memory, make it writable, or mend its disk. Workers read due work "
            "from the database meanwhile, more slowly.",
        )  # fmt: skip


def judge(facts: Mapping[str, Any]) -> Iterator[CheckResult]:
    """Judge what Redis says of itself in INFO."""
    version = str(facts["redis_version"])
    found = tuple(int(part) for part in version.split(".")[:2])
    if found < _OLDEST:
        yield wrong(_ABOUT, f"It is Redis {version}; 6.2 or newer is needed.", "Upgrade it.")
    else:
        yield ok(_ABOUT, f"It is Redis {version}.")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield wrong(
            _ABOUT, f"maxmemory-policy is {policy}: when memory is short, messages vanish.",
            "Set it to noeviction.",
        )  # fmt: skip
    yield _memory(int(facts["used_memory"]), int(facts.get("maxmemory", 0)))


def _memory(used: int, most: int) -> CheckResult:
    if most and used > most * _FULL:
        return warning(
            _ABOUT, f"{used / most:.0%} of its memory is in use.",
            "Look at what else uses it; drybeans needs a few megabytes. Raise maxmemory.",
        )  # fmt: skip
    limit = f" of {most / 2**20:.0f}" if most else ""
    return ok(_ABOUT, f"{used / 2**20:.0f}{limit} MiB of memory are in use.")


def _queues(stage: Stage) -> Iterator[CheckResult]:
    lengths = {queue: stage.queue.queue_length(queue) for queue in Queue}
    what = ", ".join(f"{number} in {queue}" for queue, number in lengths.items())
    if max(lengths.values()) > 2 * MAX_QUEUE_LENGTH:
        yield warning(
            _ABOUT,
            f"Queued messages: {what}; drybeans sends at most {2 * MAX_QUEUE_LENGTH}.",
            "Something else publishes here: give drybeans a Redis database of its own.",
        )  # fmt: skip
    else:
        yield ok(_ABOUT, f"Messages that wait: {what}.")
    if stage.queue.was_emptied():
        yield warning(
            _ABOUT, "No sweeper has marked it since it was started or flushed.",
            "Start a sweeper: python -m worker.sweep. It publishes again what Redis lost.",
        )  # fmt: skip
