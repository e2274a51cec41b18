"""Publish chunks again, and erase old jobs."""

import argparse
from functools import partial
from typing import Final

from shared.admin.command import Group, Output, Stage, duration, format_error, one_of
from shared.broker.client import MAX_QUEUE_LENGTH
from shared.db.engine import Database
from shared.db.queries.inspection import MAX_COUNTED, read_clock
from shared.db.queries.jobs import get_stored_job
from shared.db.sweeps.prune import count_old, delete_old
from shared.db.sweeps.recovery import dispatch_due, reschedule_all, take_of_job
from shared.domain.chunks import take_fitting
from shared.domain.errors import JobNotFound
from shared.domain.jobs import TERMINAL, JobId, JobState, Queue, first_id_at

_BATCH: Final = 1000


def replay(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Publish chunks now: those of a job, all that are due, or all that are pending.

    A chunk that is published twice runs once.
    """
    if arguments.job:
        chunks = _replay_job(stage, JobId(arguments.job))
    else:
        if arguments.all:
            while stage.database.write(reschedule_all):
                pass
        chunks = sum(_replay_due(stage, queue) for queue in Queue)
    waiting = {queue.value: stage.queue.queue_length(queue) for queue in Queue}
    told_waiting = ", ".join(f"{number} in {queue}" for queue, number in waiting.items())
    return Output(
        text=f"{chunks} chunks are published. Messages that wait now: {told_waiting}. What did "
        "not fit is published by the sweep as workers make room.",
        document={"chunks": chunks, "messages": waiting},
    )


def _replay_job(stage: Stage, job: JobId) -> int:
    if stage.database.read(lambda c: get_stored_job(c, job)) is None:
        raise JobNotFound
    interval = stage.settings.dispatch_policy.republish_after
    # First Redis: a chunk must not count as published when nobody can publish it.
    stage.queue.ping()
    taken = stage.database.write(lambda c: take_of_job(c, job, _BATCH, interval))
    stage.queue.publish(taken)
    return len(taken)


def _replay_due(stage: Stage, queue: Queue) -> int:
    settings = stage.settings
    published = 0
    room = 2 * MAX_QUEUE_LENGTH - stage.queue.queue_length(queue)
    while room > 0:
        fits = partial(take_fitting, limits=settings.message_limits, messages=room)
        take = partial(
            dispatch_due, queue=queue, limit=_BATCH, fitting=fits,
            interval=settings.dispatch_policy.republish_after,
        )  # fmt: skip
        due = stage.database.write(take)
        if not due:
            break
        sent = stage.queue.publish(due)
        published += len(due)
        room = room - sent if sent else 0
    return published


def purge(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Count the finished jobs that are older, and erase them where that is asked for."""
    before = first_id_at(stage.database.read(read_clock) - arguments.older_than)
    states = {arguments.state} if arguments.state else TERMINAL
    which = f"{arguments.state or 'finished'} jobs older than {format_error(arguments.older_than)}"
    if not arguments.yes:
        found = stage.database.read(lambda c: count_old(c, before, states))
        some = f"more than {MAX_COUNTED:,}" if found > MAX_COUNTED else f"{found:,}"
        return Output(
            text=f"There are {some} {which}. Nothing is erased; add --yes to erase them.",
            document={"jobs": found, "erased": 0},
        )
    erased = _erase_all(stage.database, before, states)
    return Output(
        text=f"{erased:,} {which} are erased.", document={"jobs": erased, "erased": erased}
    )


def _erase_all(
    database: Database, before: JobId, states: frozenset[JobState] | set[JobState]
) -> int:
    erased = 0
    while some := database.write(lambda c: delete_old(c, before, states, _BATCH)):
        erased += some
    return erased


def add_to(commands: Group) -> None:
    """Add `replay` and `purge`."""
    again = commands.add("replay", replay, "publish chunks again now")
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("--job", metavar="ID", help="those of a job that wait")
    which.add_argument("--due", action="store_true", help="all whose time has come")
    which.add_argument("--all", action="store_true", help="all that wait, due or not")
    erased = commands.add("purge", purge, "count old finished jobs, and erase them with --yes")
    erased.add_argument("--older-than", type=duration, required=True, help="such as 12h or 30d")
    erased.add_argument(
        "--state", type=one_of(sorted(TERMINAL)), metavar="STATE", help="only these"
    )
    erased.add_argument("--yes", action="store_true", help="erase them; without it only count")
