"""Deliveries of webhooks: written with a job's end, claimed by sweepers, judged after each try."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, insert, literal, select, update

from shared.db.schema import deliveries, jobs
from shared.db.types import AnyRow, now
from shared.domain.jobs import JobId, JobState
from shared.domain.webhooks import (
    Delivery,
    DeliveryAttempt,
    DeliveryResponse,
    DeliveryState,
    RetryDecision,
)

_MAX_ERROR: Final = 200


def enqueue_delivery(connection: Connection, ids: Sequence[JobId]) -> None:
    """Write a delivery for each of `ids` that has a webhook and none yet: as part of its end."""
    if not ids:
        return
    ended = (
        select(
            jobs.c.id,
            jobs.c.webhook_host,
            literal(DeliveryState.PENDING.value),
            *(literal(0), literal(0), now()),
        )
        .outerjoin(deliveries, deliveries.c.job_id == jobs.c.id)
        .where(
            jobs.c.id.in_(sorted(ids)),
            jobs.c.webhook_url.is_not(None),
            deliveries.c.job_id.is_(None),
        )
    )
    columns = ["job_id", "host", "state", "fence", "attempts", "next_attempt_at"]
    connection.execute(insert(deliveries).from_select(columns, ended))


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """The deliveries that a sweeper is sending, by host and by owner, and the most of each."""

    hosts: Mapping[str, int] = field(default_factory=dict)
    owners: Mapping[str, int] = field(default_factory=dict)
    max_per_host: int
    max_per_owner: int


def claim_deliveries(
    connection: Connection, limit: int, lease: timedelta, in_flight: InFlight
) -> list[DeliveryAttempt]:
    """Claim up to `limit` due deliveries for `lease`: nobody else sends them until it is over.

    Owners who have none in flight come first, and no host and no owner gets more than its limit:
    a slow receiver, or an owner with many of them, leaves senders to the others.
    """
    chosen = _choose(connection, limit, in_flight, skip=list(in_flight.owners))
    if len(chosen.ids) < limit:
        full = [o for o, count in chosen.owners.items() if count >= in_flight.max_per_owner]
        rest = replace(in_flight, hosts=chosen.hosts, owners=chosen.owners)
        more = _choose(connection, limit - len(chosen.ids), rest, skip=full, but=chosen.ids)
        chosen.ids += more.ids
    if not chosen.ids:
        return []
    connection.execute(
        update(deliveries)
        .where(deliveries.c.job_id.in_(chosen.ids))
        .values(
            fence=deliveries.c.fence + 1,
            attempts=deliveries.c.attempts + 1,
            last_attempt_at=now(),
            next_attempt_at=now(lease.total_seconds()),
        )
    )
    return _attempts(connection, sorted(chosen.ids))


@dataclass(slots=True)
class _Chosen:
    """Deliveries to claim, and what is in flight once they are."""

    hosts: Counter[str]
    owners: Counter[str]
    ids: list[JobId] = field(default_factory=list)


def _choose(
    connection: Connection,
    limit: int,
    in_flight: InFlight,
    *,
    skip: Sequence[str],
    but: Sequence[JobId] = (),
) -> _Chosen:
    """Choose up to `limit` due deliveries of owners that are not in `skip`, the oldest first."""
    full = [h for h, count in in_flight.hosts.items() if count >= in_flight.max_per_host]
    due = connection.execute(
        select(*deliveries.c["job_id", "host"], jobs.c.owner)
        .join(jobs, jobs.c.id == deliveries.c.job_id)
        .where(
            deliveries.c.state == DeliveryState.PENDING,
            deliveries.c.next_attempt_at <= now(),
            deliveries.c.host.not_in(full),
            jobs.c.owner.not_in(skip),
            deliveries.c.job_id.not_in(but),
        )
        .order_by(deliveries.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    chosen = _Chosen(Counter(in_flight.hosts), Counter(in_flight.owners))
    for row in due:
        if (
            chosen.hosts[row.host] < in_flight.max_per_host
            and chosen.owners[row.owner] < in_flight.max_per_owner
        ):
            chosen.hosts[row.host] += 1
            chosen.owners[row.owner] += 1
            chosen.ids.append(JobId(row.job_id))
    return chosen


def _attempts(connection: Connection, ids: Sequence[JobId]) -> list[DeliveryAttempt]:
    rows = connection.execute(
        select(
            *jobs.c["id", "owner", "state", "webhook_url", "webhook_host", "finished_at"],
            *deliveries.c["fence", "attempts", "last_attempt_at"],
        )
        .join(deliveries, deliveries.c.job_id == jobs.c.id)
        .where(jobs.c.id.in_(ids), jobs.c.webhook_url.is_not(None))
    )
    return [
        DeliveryAttempt(
            job=JobId(row.id),
            fence=row.fence,
            attempt=row.attempts,
            url=row.webhook_url,
            host=row.webhook_host,
            owner=row.owner,
            state=JobState(row.state),
            finished_at=row.finished_at,
            sent_at=row.last_attempt_at,
        )
        for row in rows
    ]


def record_attempt(
    connection: Connection, parcel: DeliveryAttempt, reply: DeliveryResponse, verdict: RetryDecision
) -> bool:
    """Write what an attempt came to. Gives False when its claim was lost, or its job erased."""
    after = None if verdict.after is None else now(verdict.after.total_seconds())
    settled = connection.execute(
        update(deliveries)
        .where(deliveries.c.job_id == parcel.job, deliveries.c.fence == parcel.fence)
        .values(
            state=verdict.state,
            next_attempt_at=after,
            last_status=reply.status,
            last_error=reply.error[:_MAX_ERROR] if reply.error else None,
        )
    )
    return settled.rowcount == 1


def redeliver(connection: Connection, job: JobId) -> bool:
    """Send the webhook of `job` again, from its first attempt. Gives False when it has none."""
    again = connection.execute(
        update(deliveries)
        .where(deliveries.c.job_id == job)
        .values(
            # A reply to an attempt that is under way no longer counts.
            fence=deliveries.c.fence + 1,
            state=DeliveryState.PENDING,
            attempts=0,
            next_attempt_at=now(),
        )
    )
    return again.rowcount == 1


def redeliver_failed(connection: Connection, since: timedelta) -> int:
    """Send again what was given up and last tried within `since`, and count it."""
    again = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.state == DeliveryState.FAILED,
            deliveries.c.last_attempt_at >= now(-since.total_seconds()),
        )
        .values(
            fence=deliveries.c.fence + 1,
            state=DeliveryState.PENDING,
            attempts=0,
            next_attempt_at=now(),
        )
    )
    return again.rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """How many deliveries wait for a sweeper, and since when the first of them does."""

    count: int
    since: datetime | None


def read_due(connection: Connection) -> Due:
    """Count the deliveries whose next attempt is due."""
    row = connection.execute(
        select(func.count(), func.min(deliveries.c.next_attempt_at)).where(
            deliveries.c.state == DeliveryState.PENDING, deliveries.c.next_attempt_at <= now()
        )
    ).one()
    return Due(count=row[0], since=row[1])


def read_deliveries(connection: Connection, ids: Sequence[JobId]) -> dict[JobId, Delivery]:
    """Read the deliveries of `ids`; a job that has not ended has none."""
    rows = connection.execute(select(deliveries).where(deliveries.c.job_id.in_(list(ids))))
    return {JobId(row.job_id): _delivery(row) for row in rows}


def _delivery(row: AnyRow) -> Delivery:
    return Delivery(
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_attempt_at=row.last_attempt_at,
        last_status=row.last_status,
        last_error=row.last_error,
    )
