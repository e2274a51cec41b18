"""Jobs that end before their time while others still work on them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from shared.db.engine import Database
from shared.db.jobs.cancel import stop_job
from shared.db.jobs.complete import complete
from shared.db.jobs.upload import add_chunk, begin_upload, complete_upload
from shared.db.queries.jobs import get_stored_job
from shared.db.schema import chunks
from shared.db.sweeps.recovery import expire_jobs
from shared.domain.chunks import Submission
from shared.domain.errors import UploadStopped
from shared.domain.jobs import ChunkState, JobCounters, JobId, JobState
from tests.factories import OUTBOX, a_chunk, a_submission, answered, submit, take

PATIENCE = timedelta(seconds=60)


def an_upload(database: Database) -> Submission:
    """Begin an upload and store its first chunk."""
    upload = replace(a_submission(chunks=0), state=JobState.RECEIVING)
    database.write(lambda c: begin_upload(c, upload, OUTBOX, PATIENCE))
    database.write(lambda c: add_chunk(c, upload, a_chunk(0), OUTBOX, PATIENCE))
    return upload


def states(database: Database, job: JobId) -> list[str]:
    """Tell the states of a job's chunks, in order."""
    query = select(chunks.c.state).where(chunks.c.job_id == job).order_by(chunks.c.seq)
    return list(database.read(lambda c: c.scalars(query).all()))


def test_a_chunk_that_arrives_while_its_job_is_canceled_is_canceled_too(
    database: Database,
) -> None:
    """It is stored after the chunks were canceled and before the job was: nothing stays open."""
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite lets only one write at a time")
    upload = an_upload(database)
    added: list[int] = []

    def add_another(*words: Any) -> None:
        if words[2].startswith("UPDATE chunks") and not added:
            added.append(1)
            database.write(lambda c: add_chunk(c, upload, a_chunk(1), OUTBOX, PATIENCE))

    event.listen(database.engine, "after_cursor_execute", add_another)

    assert database.write(lambda c: stop_job(c, upload.id, JobState.CANCELED))

    assert states(database, upload.id) == [ChunkState.CANCELED, ChunkState.CANCELED]


def test_an_upload_that_dies_before_its_first_chunk_is_given_up(database: Database) -> None:
    """As soon as one that dies later: its client's idempotency key is not held up for a day."""
    upload = replace(a_submission(chunks=0), state=JobState.RECEIVING)
    database.write(lambda c: begin_upload(c, upload, OUTBOX, timedelta(seconds=-1)))

    assert database.write(lambda c: expire_jobs(c, 10)) == [upload.id]

    assert database.read(lambda c: get_stored_job(c, upload.id)) is JobState.FAILED


def test_an_upload_whose_job_was_canceled_adds_nothing(database: Database) -> None:
    """The client that sends it is told."""
    upload = an_upload(database)
    database.write(lambda c: stop_job(c, upload.id, JobState.CANCELED))

    with pytest.raises(UploadStopped):
        database.write(lambda c: add_chunk(c, upload, a_chunk(1), OUTBOX, PATIENCE))

    assert states(database, upload.id) == [ChunkState.CANCELED]


def test_an_upload_completed_again_after_a_lost_connection_is_complete(database: Database) -> None:
    """The client is not told that its job, which is there and runs, has ended."""
    upload = an_upload(database)
    first = database.write(lambda c: complete_upload(c, upload, OUTBOX))

    again = database.write(lambda c: complete_upload(c, upload, OUTBOX))

    assert (first, again) == ([], [])
    assert database.read(lambda c: get_stored_job(c, upload.id)) is JobState.QUEUED


def test_an_upload_cannot_be_completed_after_its_job_was_canceled(database: Database) -> None:
    """Its client is told."""
    upload = an_upload(database)
    database.write(lambda c: stop_job(c, upload.id, JobState.CANCELED))

    with pytest.raises(UploadStopped):
        database.write(lambda c: complete_upload(c, upload, OUTBOX))


def test_a_worker_cannot_finish_a_chunk_of_a_job_that_was_stopped(database: Database) -> None:
    """Its claim is lost, and the job stays canceled."""
    ref, _ = submit(database, a_submission(chunks=2))
    (claimed,) = take(database, ref)
    assert database.write(lambda c: stop_job(c, ref.job, JobState.CANCELED))

    finished = database.write(lambda c: complete(c, [answered(claimed)], OUTBOX))

    assert finished.lost == (ref,)
    assert states(database, ref.job) == [ChunkState.CANCELED, ChunkState.CANCELED]
    assert database.read(lambda c: get_stored_job(c, ref.job)) is JobState.CANCELED


@pytest.mark.parametrize("state", [JobState.CANCELED, JobState.EXPIRED, JobState.FAILED])
def test_no_count_moves_a_finished_job(state: JobState) -> None:
    """Even if its last chunk were counted after its end."""
    tally = JobCounters(
        state=state,
        rows_total=2,
        rows_succeeded=1,
        rows_failed=0,
        chunks_total=2,
        chunks_finished=1,
    )

    assert tally.add(succeeded=1, failed=0, chunks=1).state is state
