"""Sends a request as often as there is patience: what every verb of the client is made of."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

from api.client.effects import Answer, Broken, Notice, Open, Pause, Request, Script, Send
from api.client.errors import Unreachable
from api.client.patience import Failure, Patience, Spent, may_repeat
from api.client.reading import refusal

_CHANCE: Final = Random()  # noqa: S311 - jitter, not a secret


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """Sends requests to the service at `address`, and tells `notice` when one is tried again."""

    address: str
    patience: Patience
    notice: Notice
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = _CHANCE.random

    def __call__(
        self, request: Request, how: Callable[[Request], Send | Open] = Send
    ) -> Script[Answer]:
        """Send `request`, again and again as long as there is patience, and give the answer.

        With `Open` for `how` the body of the answer is left to be read. Raises `Refused` and
        `Unreachable`.
        """
        tries, began = 0, 0.0
        while True:
            failure: Failure | None
            try:
                answer = yield how(request)
                failure = refusal(answer, _utc_now)
            except Broken as broken:
                answer, failure = None, broken
            if failure is None:
                assert isinstance(answer, Answer)  # noqa: S101 - else there is a failure
                return answer
            tries += 1
            began = began if tries > 1 else self.clock()
            spent = Spent(tries=tries, seconds=self.clock() - began)
            yield from self.bear(failure, spent, repeatable=request.repeatable)

    def bear(self, failure: Failure, spent: Spent, *, repeatable: bool) -> Script[None]:
        """Pause before the next try, or raise `failure`."""
        pause = None
        if may_repeat(failure, repeatable=repeatable):
            pause = self.patience.pause(failure, spent, self.chance())
        if pause is None:
            raise self._unreachable(failure) if isinstance(failure, Broken) else failure
        what = failure.reason if isinstance(failure, Broken) else failure.detail
        self.notice(f"{what.rstrip('.')}; trying again in {pause:.1f} s.")
        yield Pause(pause)

    def _unreachable(self, broken: Broken) -> Unreachable:
        return Unreachable(f"No answer from {self.address}: {broken.reason}.")
