"""Stores accepted jobs: a whole group in one transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from shared.db.engine import Database
from shared.db.mysql_pipeline import pipelined
from shared.db.queries.jobs import are_stored
from shared.db.row_quota import check_group
from shared.db.schema import chunks, idempotency_keys, inputs, job_labels, jobs
from shared.domain.chunks import Dispatch, DispatchPolicy, NewChunk, Submission
from shared.domain.errors import CommitUncertain, DatabaseDown, KeyTaken
from shared.domain.jobs import ChunkState
from shared.domain.row_errors import write_errors


def store_group(
    database: Database, group: Sequence[Submission], outbox: DispatchPolicy
) -> list[Dispatch]:
    """Commit `group` and give the chunks that are to be published now.

    Raises `KeyTaken` when an idempotency key is there already, `SubmissionsRefused` when an API
    key's row quota does not admit all, and `CommitUncertain` when the response to the commit was
    lost and the database cannot be asked whether the jobs are there.
    """
    ids = {submission.id for submission in group}

    def insert_held(connection: Connection) -> list[Dispatch]:
        check_group(connection, group)
        with pipelined(connection):
            _insert_all(connection, group, outbox)
        return _published(group, outbox)

    def is_committed(connection: Connection) -> bool:
        return are_stored(connection, ids)

    try:
        return database.write(insert_held, is_committed)
    except IntegrityError:
        # A key is taken; or an earlier attempt was committed, which only a look can tell.
        pass
    try:
        return database.write(lambda c: insert_group(c, group, outbox), is_committed)
    except DatabaseDown as error:
        raise CommitUncertain from error


def insert_group(
    connection: Connection, group: Sequence[Submission], outbox: DispatchPolicy
) -> list[Dispatch]:
    """Insert `group` and give the chunks that are to be published now.

    Safe to run again after a lost connection: what is already there is left alone. Raises
    `KeyTaken` when an idempotency key is there already, and `SubmissionsRefused`.
    """
    check_group(connection, group)
    try:
        _insert_all(connection, group, outbox)
    except IntegrityError:
        # The whole group is there, from a run whose commit was not answered.
        ids = [submission.id for submission in group]
        if set(connection.scalars(select(jobs.c.id).where(jobs.c.id.in_(ids)))) != set(ids):
            raise
    return _published(group, outbox)


def _published(group: Sequence[Submission], outbox: DispatchPolicy) -> list[Dispatch]:
    return [d for submission in group for d in submission.initial_dispatches(outbox.window)]


def _insert_all(
    connection: Connection, group: Sequence[Submission], outbox: DispatchPolicy
) -> None:
    pairs = [(submission, chunk) for submission in group for chunk in submission.chunks]
    connection.execute(insert(jobs), [job_row(submission, outbox) for submission in group])
    _insert_names(connection, group)
    connection.execute(insert(chunks), [chunk_row(*pair, outbox) for pair in pairs])
    connection.execute(insert(inputs), [input_row(*pair) for pair in pairs])


def insert_job(connection: Connection, submission: Submission, outbox: DispatchPolicy) -> None:
    """Insert a job alone, with its labels and its idempotency key."""
    connection.execute(insert(jobs), [job_row(submission, outbox)])
    _insert_names(connection, [submission])


def _insert_names(connection: Connection, group: Sequence[Submission]) -> None:
    labels = [row for submission in group for row in _label_rows(submission)]
    if labels:
        connection.execute(insert(job_labels), labels)
    keys = [key_row(submission) for submission in group if submission.idempotency]
    if keys:
        try:
            connection.execute(insert(idempotency_keys), keys)
        except IntegrityError:
            raise KeyTaken from None


def _label_rows(submission: Submission) -> list[dict[str, Any]]:
    return [
        {"owner": submission.owner, "name": name, "value": value, "job_id": submission.id}
        for name, value in submission.labels.items()
    ]


def key_row(submission: Submission) -> dict[str, Any]:
    """Write a submission's idempotency key, which it must have, as a row."""
    assert submission.idempotency is not None  # noqa: S101 - the caller looked
    return {
        "owner": submission.owner,
        "key_hash": submission.idempotency.key_hash,
        "fingerprint": submission.idempotency.fingerprint,
        "job_id": submission.id,
        "created_at": submission.created_at,
    }


def job_row(submission: Submission, outbox: DispatchPolicy) -> dict[str, Any]:
    """Write a job as a row of `jobs`."""
    return {
        "id": submission.id,
        "owner": submission.owner,
        "state": submission.state,
        "queue": submission.queue,
        "model_name": submission.model_name,
        "model_version": submission.model_version,
        "model_sha256": submission.model_sha256,
        "outputs": list(submission.outputs),
        "labels": dict(submission.labels),
        "warnings": list(submission.warnings),
        "layout": asdict(submission.layout) if submission.layout else None,
        "max_errors": submission.max_errors,
        "webhook_url": submission.webhook.url if submission.webhook else None,
        "webhook_host": submission.webhook.host if submission.webhook else None,
        "rows_total": submission.row_count,
        "rows_succeeded": 0,
        "rows_failed": 0,
        "chunks_total": len(submission.chunks),
        "chunks_finished": 0,
        "chunks_released": min(len(submission.chunks), outbox.window),
        "attempts": 0,
        "retention_seconds": round(submission.retention.total_seconds()),
        "created_at": submission.created_at,
        "deadline_at": submission.deadline_at,
    }


def chunk_row(
    submission: Submission, chunk: NewChunk, outbox: DispatchPolicy, *, released: bool | None = None
) -> dict[str, Any]:
    """Write a chunk as a row of `chunks`; it is released if it is within the first window."""
    released = chunk.seq < outbox.window if released is None else released
    # By the database's clock as the submission knows it: PyMySQL batches only plain values.
    again = submission.created_at + outbox.republish_after
    return {
        "job_id": submission.id,
        "seq": chunk.seq,
        "state": ChunkState.PENDING,
        "queue": submission.queue,
        "first_row": chunk.first_row,
        "first_line": chunk.first_line,
        "row_count": chunk.row_count,
        "fence": 0,
        "attempt": 0,
        "next_publish_at": again if released else None,
        "publishes": int(released),
    }


def input_row(submission: Submission, chunk: NewChunk) -> dict[str, Any]:
    """Write a chunk's body as a row of `inputs`."""
    return {
        "job_id": submission.id,
        "seq": chunk.seq,
        "encoding": chunk.encoding,
        "body": chunk.body,
        "errors": write_errors(chunk.errors),
    }
