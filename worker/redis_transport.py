"""Kombu's transport for Redis, made to outlive messages and replies that it cannot read.

Whatever reaches a worker's queues is read in its main process, where an exception that Celery does
not expect ends the worker.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from threading import Event
from typing import Any, Final

from celery.worker import state
from kombu.exceptions import OperationalError
from kombu.transport import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from shared.broker.celery_message import is_message
from shared.domain.jobs import Queue

log = logging.getLogger(__name__)

_REFUSED_PAUSE_SECONDS: Final = 1.0
_MAX_REASON: Final = 200
_stopping: Final = Event()
_QUEUES: Final = frozenset(queue.value for queue in Queue)


class _NotOurs(Exception):
    """This is no message of drybeans."""


def _stop_if_told() -> None:
    """Raise what ends Celery's loop when the worker was told to stop, once.

    Celery looks between two rounds of its loop only, and a heartbeat connects for ever within one.
    """
    if _stopping.is_set():
        return
    if state.should_stop is not None or state.should_terminate is not None:
        _stopping.set()
        state.maybe_shutdown()


class Channel(redis.Channel):
    """A channel that drops unreadable messages, and slows down while Redis refuses commands."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's
        # Kombu and Celery connect again by themselves; a retry within each of their retries makes
        # minutes of one time-out, in which the main process does nothing else.
        no_retry = Retry(NoBackoff(), 0)
        return super()._connparams(asynchronous) | {"retry": no_retry}  # type: ignore[no-untyped-call]

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 - kombu has no types
        return self._survive(partial(super()._brpop_read, **options))

    def _receive(self) -> Any:  # noqa: ANN401 - as above
        return self._survive(super()._receive)

    def _survive(self, read: Callable[[], Any]) -> Any:  # noqa: ANN401 - as above
        """Log and drop a message that raises; what says that Redis is unusable is raised again."""
        before = self._unacknowledged()
        try:
            return read()
        except ResponseError:
            # Full, read-only, MISCONF: Celery connects again, and would do so without a pause.
            time.sleep(_REFUSED_PAUSE_SECONDS)
            raise
        except (Empty, OSError, RedisError, OperationalError):
            raise
        except Exception as error:  # noqa: BLE001 - a message can raise anything
            reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]
            log.warning("message_unreadable", extra={"reason": reason})
            for tag in self._unacknowledged() - before:
                # It would count as being worked on for ever.
                self.qos.ack(tag)
            return True

    def _unacknowledged(self) -> set[str]:
        """Return the tags of the messages that count as being worked on."""
        qos = self.qos
        return set(qos._delivered) - qos._dirty  # noqa: SLF001 - kombu has no other way to see them


class Transport(redis.Transport):
    """The transport that `worker.main` names in `broker_transport`."""

    Channel = Channel

    def establish_connection(self) -> Any:  # noqa: ANN401 - kombu has no types
        """Connect to Redis, unless the worker was told to stop since it last tried."""
        _stop_if_told()
        return super().establish_connection()  # type: ignore[no-untyped-call]

    def _deliver(self, message: Any, queue: str) -> None:  # noqa: ANN401 - kombu has no types
        if queue in _QUEUES and not is_message(message):
            raise _NotOurs(_NotOurs.__doc__)
        super()._deliver(message, queue)  # type: ignore[no-untyped-call]
