"""Conditions that lead every kind of database to chunks by their key, and by nothing else."""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Table, and_, false, func, or_

from shared.db.tables import chunks
from shared.domain.jobs import ChunkRef, ChunkState


def among(refs: Iterable[ChunkRef], table: Table = chunks) -> ColumnElement[bool]:
    """Give the condition that a row of `table`, `chunks` or one with its key, is one of `refs`.

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
