"""Faults of the API and of sweepers: killed, reloaded, frozen."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from tests.chaos.faults.base import Registry, Strike, Target, fault

FAULTS: Final[Registry] = {}
_api = partial(fault, FAULTS, Target.API)
_sweeper = partial(fault, FAULTS, Target.SWEEPER)


@_api("API killed")
def _killed(strike: Strike) -> Iterator[None]:
    strike.stage.api.send(signal.SIGKILL)
    yield


@_api("API process killed")
def _process_killed(strike: Strike) -> Iterator[None]:
    children = strike.stage.api.children()
    if children:
        with suppress(ProcessLookupError):
            os.kill(strike.chance.choice(children), signal.SIGKILL)
    yield


@_api("API killed before publish")
def _killed_before_publish(strike: Strike) -> Iterator[None]:
    # What is committed meanwhile cannot be published: the API dies with it in hand.
    strike.stage.redis_proxy.freeze()
    strike.pause(0.3, 0.9)
    strike.stage.api.send(signal.SIGKILL)
    strike.stage.redis_proxy.cut()
    yield
    strike.stage.redis_proxy.thaw()


@_api("API reloaded")
def _reloaded(strike: Strike) -> Iterator[None]:
    strike.stage.api.send_main(signal.SIGHUP)
    yield


@_sweeper("sweepers killed")
def _sweepers_killed(strike: Strike) -> Iterator[None]:
    for sweeper in strike.stage.sweepers:
        sweeper.send(signal.SIGKILL)
    yield


@_sweeper("sweeper frozen", hold=(2, 5))
def _sweeper_frozen(strike: Strike) -> Iterator[None]:
    sweeper = strike.chance.choice(strike.stage.sweepers)
    sweeper.send(signal.SIGSTOP)
    yield
    sweeper.send(signal.SIGCONT)
