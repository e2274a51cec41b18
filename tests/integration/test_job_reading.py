"""A job is the same however it is read: alone, in the list, or with its results."""

from functools import partial

import pytest

from shared.db.engine import Database
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.complete import complete
from shared.db.queries.jobs import read_jobs
from shared.db.queries.listing import JobFilter, list_jobs
from shared.db.queries.results import read_jobs_with_results
from shared.domain.jobs import Job, JobId, JobState
from tests.factories import OUTBOX, a_submission, answered, submit, take

INLINE = 1000


def every_reading(database: Database, job: JobId) -> list[Job]:
    """Return the job as each way of reading it gives it."""
    listed = database.read(lambda c: list_jobs(c, JobFilter(owner=""), 10))
    return [
        database.read(lambda c: read_jobs(c, [job]))[job],
        database.read(lambda c: read_jobs_with_results(c, [job], most=INLINE))[job].job,
        *(one for one in listed if one.id == job),
    ]


@pytest.mark.parametrize("rows, chunks", [(1, 1), (INLINE, 1), (INLINE + 1, 1), (3, 2)], ids=str)
def test_a_finished_job_has_its_summary_however_it_is_read(
    database: Database, rows: int, chunks: int
) -> None:
    """Also a job of one chunk with more rows than are told with it."""
    refs = submit(database, a_submission(rows=rows, chunks=chunks))
    outcomes = [answered(claimed) for claimed in take(database, *refs)]
    database.write(partial(complete, outcomes=outcomes, outbox=OUTBOX))

    found = every_reading(database, refs[0].job)

    assert [job.summary for job in found] == [
        {"counts": {"SIRA": rows * chunks}, "out_of_range": {}}
    ] * 3
    assert found[1:] == found[:1] * 2


@pytest.mark.parametrize("state", [JobState.CANCELED, JobState.EXPIRED])
def test_the_summary_of_a_stopped_job_counts_the_rows_that_it_keeps(
    database: Database, state: JobState
) -> None:
    """As many as the job says have a label."""
    refs = submit(database, a_submission(rows=5, chunks=3))
    (claimed,) = take(database, refs[0])
    database.write(lambda c: complete(c, [answered(claimed)], OUTBOX))

    assert database.write(lambda c: stop_job(c, refs[0].job, state))

    found = every_reading(database, refs[0].job)
    assert {(job.state, job.rows_total, job.rows_succeeded, job.rows_failed) for job in found} == {
        (state, 15, 5, 0)
    }
    assert [job.summary for job in found] == [{"counts": {"SIRA": 5}, "out_of_range": {}}] * 3
