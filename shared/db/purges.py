"""Erases finished jobs that are older than somebody wants, whatever their retention says."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, func, literal, select

from shared.db.jobs import erase_first
from shared.db.overview import MOST_COUNTED
from shared.db.tables import jobs
from shared.domain.jobs import JobId, JobState


def _old(before: JobId, states: Iterable[JobState]) -> list[ColumnElement[bool]]:
    # Ids sort by time, so old jobs lie together at the front of the table. The state is written so
    # that no database finds them by it instead, among all that have finished.
    return [jobs.c.id < before, func.coalesce(jobs.c.state, "").in_(sorted(states))]


def count_old(connection: Connection, before: JobId, states: Iterable[JobState]) -> int:
    """Count the jobs in `states` whose ids are smaller than `before`, up to `MOST_COUNTED` + 1."""
    some = (
        select(literal(1).label("one"))
        .where(*_old(before, states))
        .limit(MOST_COUNTED + 1)
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def erase_old(connection: Connection, before: JobId, states: Iterable[JobState], limit: int) -> int:
    """Erase the oldest of these jobs, with up to `limit` chunks, and count the jobs.

    One job at least, however many chunks it has. To be repeated until it gives 0.
    """
    old = select(*jobs.c["id", "chunks_total"]).where(*_old(before, states)).order_by(jobs.c.id)
    return erase_first(connection, old, limit)
