"""Conditions that lead every kind of database to chunks by their key, and by nothing else."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Table, and_, bindparam, false, func, or_

from shared.db.schema import chunks
from shared.domain.jobs import ChunkRef, ChunkState


def key_in(refs: Iterable[ChunkRef], table: Table = chunks) -> ColumnElement[bool]:
    """Return the condition that a row of `table`, `chunks` or one with its key, is one of `refs`.

    MariaDB and SQLite find no range for (job_id, seq) IN ((…), (…)) and read far more rows than
    these. So the refs are grouped by number or by job, whichever gives fewer groups; a batch of
    jobs of one chunk is a single one.
    """
    by_seq, by_job = defaultdict(set), defaultdict(set)
    for ref in refs:
        by_seq[ref.seq].add(ref.job)
        by_job[ref.job].add(ref.seq)
    job, seq = table.c.job_id, table.c.seq
    if len(by_seq) <= len(by_job):
        groups = [and_(seq == at, job.in_(sorted(ids))) for at, ids in sorted(by_seq.items())]
    else:
        groups = [and_(job == id_, seq.in_(sorted(ats))) for id_, ats in sorted(by_job.items())]
    return or_(*groups) if groups else false()


def in_state(*states: ChunkState) -> ColumnElement[bool]:
    """Guard chunks that are found by their key: they must be in one of `states`.

    Written so that no database can find them by state instead, among the whole backlog.
    """
    return func.coalesce(chunks.c.state, "").in_(sorted(states))


def at_seq(table: Table = chunks) -> ColumnElement[bool]:
    """Return a condition with the parameters of `group_by_seq`, for a statement built once."""
    ids: BindParameter[Any] = bindparam("ids", expanding=True)
    return and_(table.c.seq == bindparam("number"), table.c.job_id.in_(ids))


def group_by_seq(refs: Iterable[ChunkRef]) -> list[dict[str, Any]]:
    """Group `refs` by chunk number, in order: all the jobs of one chunk are a single group."""
    numbers = defaultdict(set)
    for ref in refs:
        numbers[ref.seq].add(ref.job)
    return [{"number": number, "ids": sorted(ids)} for number, ids in sorted(numbers.items())]
