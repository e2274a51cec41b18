"""Deliveries of webhooks in the database: due when a job ends, and claimed by one sweeper."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from shared.db.engine import Database
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.complete import complete
from shared.db.schema import deliveries, jobs
from shared.db.sweeps.prune import delete_expired
from shared.db.sweeps.recovery import expire_jobs, rescue_expired_leases
from shared.db.types import now
from shared.db.webhooks import InFlight, claim_deliveries, read_due
from shared.domain import chunks as values
from shared.domain.jobs import JobState, RetryPolicy
from tests.factories import OUTBOX, a_submission, answered, submit, take
from tests.waiting import wait_for

HOOK = values.Webhook(url="https://example.com/hook", host="example.com")
LEASE = timedelta(seconds=60)
IDLE = InFlight(max_per_host=9, max_per_owner=9)


def with_webhook(**options: Any) -> values.Submission:
    """Make a job that has a webhook."""
    return replace(a_submission(**options), webhook=HOOK)


def finish_it(database: Database, job: values.Submission) -> None:
    """Run all of a job that was submitted."""
    outcomes = [answered(claimed) for claimed in take(database, *submit(database, job))]
    database.write(lambda c: complete(c, outcomes, OUTBOX))


def cancel_it(database: Database, job: values.Submission) -> None:
    """Submit a job and stop it."""
    submit(database, job)
    database.write(lambda c: stop_job(c, job.id, JobState.CANCELED))


def expire_it(database: Database, job: values.Submission) -> None:
    """Submit a job and let its deadline pass."""
    submit(database, job)
    late = update(jobs).where(jobs.c.id == job.id).values(deadline_at=now(-1))
    database.write(lambda c: c.execute(late))
    database.write(lambda c: expire_jobs(c, 10))


def kill_it(database: Database, job: values.Submission) -> None:
    """Submit a job and let it kill every worker."""
    take(database, *submit(database, job), lease=-1.0)
    once = RetryPolicy(max_attempts=1)
    database.write(lambda c: rescue_expired_leases(c, once, OUTBOX, 10))


@pytest.mark.parametrize("end", [finish_it, cancel_it, expire_it, kill_it])
def test_however_a_job_ends_its_webhook_is_due(
    database: Database, end: Callable[[Database, values.Submission], None]
) -> None:
    """The transaction that ends it writes the delivery; a job without a webhook has none."""
    told, silent = with_webhook(), a_submission()

    end(database, told)
    end(database, silent)

    rows = database.read(lambda c: c.execute(select(deliveries)).all())
    assert [(row.job_id, row.state, row.attempts) for row in rows] == [(told.id, "pending", 0)]


def test_an_end_that_is_not_committed_leaves_no_delivery(database: Database) -> None:
    """Both or neither: nobody is told of what did not happen."""
    job = with_webhook()
    outcomes = [answered(claimed) for claimed in take(database, *submit(database, job))]

    def fail_late(connection: Any) -> None:
        complete(connection, outcomes, OUTBOX)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(fail_late)

    assert database.read(lambda c: c.execute(select(deliveries)).all()) == []


def test_what_one_sweeper_has_claimed_no_other_sends(database: Database) -> None:
    """Until its lease is over, as after a crash."""
    job = with_webhook()
    finish_it(database, job)

    first = database.write(lambda c: claim_deliveries(c, 9, timedelta(seconds=-1), IDLE))
    second = database.write(lambda c: claim_deliveries(c, 9, LEASE, IDLE))
    third = database.write(lambda c: claim_deliveries(c, 9, LEASE, IDLE))

    assert [p.job for p in first] == [p.job for p in second] == [job.id]
    assert third == []
    assert (second[0].attempt, second[0].id) == (2, first[0].id)


def in_flight(number: int) -> InFlight:
    """Return what a sweeper sends that has `number` deliveries under way to the usual host."""
    return InFlight(hosts={"example.com": number}, max_per_host=3, max_per_owner=9)


def test_one_host_gets_no_more_than_its_share(database: Database) -> None:
    """A receiver that is slow leaves senders to the others."""
    elsewhere = values.Webhook(url="https://other.example/", host="other.example")
    for _ in range(5):
        finish_it(database, with_webhook())
    other = replace(a_submission(), webhook=elsewhere)
    finish_it(database, other)

    some = database.write(lambda c: claim_deliveries(c, 9, LEASE, in_flight(1)))
    full = database.write(lambda c: claim_deliveries(c, 9, LEASE, in_flight(3)))

    assert sorted(p.host for p in some) == ["example.com"] * 2 + ["other.example"]
    assert full == []


def finish_jobs_of(database: Database, owner: str, number: int) -> None:
    """Run `number` jobs of `owner`, each of which has a webhook at a host of its own."""
    for at in range(number):
        host = f"{at}.{owner}.example"
        webhook = values.Webhook(url=f"https://{host}/", host=host)
        finish_it(database, replace(a_submission(), owner=owner, webhook=webhook))


def test_an_owner_with_many_receivers_leaves_senders_to_the_others(database: Database) -> None:
    """However many are due and however long: who has none under way comes first."""
    finish_jobs_of(database, "greedy", 9)
    finish_jobs_of(database, "modest", 1)
    idle = InFlight(max_per_host=4, max_per_owner=5)

    claimed = database.write(lambda c: claim_deliveries(c, 8, LEASE, idle))

    assert sorted(parcel.owner for parcel in claimed) == ["greedy"] * 5 + ["modest"]


def test_who_has_nothing_under_way_gets_the_next_sender(database: Database) -> None:
    """Also when the others have not reached their share, and have waited for longer."""
    finish_jobs_of(database, "first", 3)
    finish_jobs_of(database, "second", 1)
    busy = InFlight(owners={"first": 1}, max_per_host=4, max_per_owner=9)

    (next_,) = database.write(lambda c: claim_deliveries(c, 1, LEASE, busy))
    rest = database.write(lambda c: claim_deliveries(c, 9, LEASE, busy))

    assert next_.owner == "second"
    assert [parcel.owner for parcel in rest] == ["first"] * 3


def test_an_erased_job_leaves_no_delivery(database: Database) -> None:
    """Retention takes everything."""
    finish_it(database, with_webhook(retention=timedelta(seconds=0)))
    wait_for(lambda: database.write(lambda c: delete_expired(c, 10)) == 1)

    assert database.read(lambda c: c.execute(select(deliveries)).all()) == []


def test_what_is_due_is_counted_from_when_it_became_so(database: Database) -> None:
    """Neither what a sweeper has claimed nor what has its time yet to come."""
    nothing = database.read(read_due)
    for _ in range(3):
        finish_it(database, with_webhook())
    database.write(lambda c: claim_deliveries(c, 1, LEASE, IDLE))
    first = update(deliveries).where(deliveries.c.attempts == 0).values(next_attempt_at=now(-90))
    database.write(lambda c: c.execute(first))

    due = database.read(read_due)

    assert (nothing.count, nothing.since) == (0, None)
    assert due.count == 2
    assert due.since is not None
    assert 90 <= (datetime.now(UTC) - due.since).total_seconds() < 120
