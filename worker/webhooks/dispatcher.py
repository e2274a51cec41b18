"""The courier: a thread of the sweeper that sends due webhooks, beside the sweep and not in it."""

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.db.engine import Database, open_database
from shared.db.webhooks import InFlight, claim_deliveries, record_attempt
from shared.domain.errors import DatabaseDown
from shared.domain.webhooks import DeliveryAttempt, DeliveryResponse, DeliveryState, decide_retry
from shared.observability.metrics import SweepMetrics
from shared.settings import Settings
from worker.webhooks.client import WebhookClient

log = logging.getLogger(__name__)

_SENDERS: Final = 16
_MAX_PER_HOST: Final = 4
"""The most deliveries under way to one host: a slow receiver leaves senders to the others."""
_MAX_PER_OWNER: Final = 12
"""The most deliveries under way of one owner: one with many slow receivers does so too."""
_LEASE: Final = timedelta(seconds=90)
"""Longer than looking up, connecting and sending may take together."""
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDispatcher:
    """Claims due deliveries, sends them from a few threads, and writes what they came to.

    Any number of couriers may run. What one holds when it dies is sent again when its lease is
    over: the receiver knows the message by its `webhook-id`.
    """

    database: Database
    send: Callable[[DeliveryAttempt], DeliveryResponse]
    metrics: SweepMetrics = field(default_factory=SweepMetrics)
    pause: float = 1.0
    senders: int = _SENDERS
    chance: Callable[[], float] = random.random
    _under_way: dict[Future[DeliveryResponse], DeliveryAttempt] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop`, then give those under way a moment to end."""
        pool = ThreadPoolExecutor(self.senders, thread_name_prefix="webhook")
        while not stop.is_set():
            self._try_round(pool)
            if self._under_way:
                wait(self._under_way, self.pause, FIRST_COMPLETED)
            else:
                stop.wait(self.pause)
        pool.shutdown(wait=False, cancel_futures=True)
        wait(self._under_way, _STOP_SECONDS)
        self._try_record()

    def _try_round(self, pool: ThreadPoolExecutor) -> None:
        if not self._try_record():
            return
        try:
            self._begin(pool)
        except DatabaseDown as error:
            log.warning("webhooks_wait", extra={"reason": error.detail})
        except Exception:
            log.exception("webhooks_failed")

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        free = self.senders - len(self._under_way)
        if free <= 0:
            return
        in_flight = InFlight(
            hosts=Counter(parcel.host for parcel in self._under_way.values()),
            owners=Counter(parcel.owner for parcel in self._under_way.values()),
            max_per_host=_MAX_PER_HOST,
            max_per_owner=_MAX_PER_OWNER,
        )
        claimed = self.database.write(lambda c: claim_deliveries(c, free, _LEASE, in_flight))
        for parcel in claimed:
            self._under_way[pool.submit(self.send, parcel)] = parcel

    def _try_record(self) -> bool:
        """Write what has ended; what cannot be written is kept, and tried again after a pause."""
        ended = [future for future in self._under_way if future.done()]
        try:
            for future in ended:
                self._record(self._under_way[future], _reply_of(future))
                del self._under_way[future]
        except DatabaseDown as error:
            log.warning("webhooks_wait", extra={"reason": error.detail})
            threading.Event().wait(self.pause)
            return False
        return True

    def _record(self, parcel: DeliveryAttempt, reply: DeliveryResponse) -> None:
        verdict = decide_retry(reply, parcel.attempt, self.chance())
        if not self.database.write(lambda c: record_attempt(c, parcel, reply, verdict)):
            return
        pending = verdict.state is DeliveryState.PENDING
        outcome = "again" if pending else verdict.state.value
        self.metrics.webhook_attempts.labels(outcome).inc()
        told = {"job": parcel.job, "host": parcel.host, "attempt": parcel.attempt}
        told |= {"status": reply.status, "reason": reply.error, "state": verdict.state.value}
        level = logging.INFO if verdict.state is DeliveryState.DELIVERED else logging.WARNING
        log.log(level, "webhook_sent" if reply.status else "webhook_not_sent", extra=told)


def _reply_of(future: Future[DeliveryResponse]) -> DeliveryResponse:
    if future.cancelled():
        return DeliveryResponse(error="The sweeper was stopped.")
    error = future.exception()
    if error is None:
        return future.result()
    # A bug of ours: told, and counted as an attempt like any other, so that it comes to an end.
    log.error("webhook_broke", exc_info=error)
    return DeliveryResponse(error=f"{type(error).__name__}")


def new_dispatcher(settings: Settings, metrics: SweepMetrics) -> WebhookDispatcher:
    """Wire a courier from `settings`; what it does is counted in `metrics`."""
    return WebhookDispatcher(
        database=open_database(settings.database_url.get_secret_value(), connections=1),
        send=WebhookClient(masters=settings.webhook_masters, allowed=settings.webhook_allowed),
        metrics=metrics,
        pause=settings.sweep_seconds,
    )


def start_dispatcher(
    settings: Settings, metrics: SweepMetrics, stop: threading.Event
) -> threading.Thread | None:
    """Start delivering until `stop`; without a secret to sign with there is nothing to deliver."""
    if not settings.webhook_masters:
        return None
    courier = threading.Thread(
        target=new_dispatcher(settings, metrics).run, args=[stop], name="courier", daemon=True
    )
    courier.start()
    return courier
