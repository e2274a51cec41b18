"""The faults by name, grouped by what they strike."""

import random
from collections.abc import Sequence
from typing import Final

from tests.chaos.faults import api, client, clock, database, database_errors, redis, worker
from tests.chaos.faults.base import Fault, Strike, Target

__all__ = ["FAULTS", "Fault", "Strike", "Target", "deal", "of_target"]

FAULTS: Final[dict[str, Fault]] = {
    **worker.FAULTS,
    **api.FAULTS,
    **redis.FAULTS,
    **database.FAULTS,
    **database_errors.FAULTS,
    **client.FAULTS,
    **clock.FAULTS,
}


def of_target(target: Target) -> tuple[str, ...]:
    """Return the names of the faults that strike `target`."""
    return tuple(name for name, fault in FAULTS.items() if fault.target == target)


def deal(chance: random.Random, names: Sequence[str], count: int) -> list[str]:
    """Deal `count` faults: each of `names` once before any comes again."""
    dealt: list[str] = []
    while len(dealt) < count:
        hand = list(names)
        chance.shuffle(hand)
        dealt += hand
    return dealt[:count]
