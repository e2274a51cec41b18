"""Keeps uploads in the database, and publishes each chunk that enters its job's window."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.db.engine import Database
from shared.db.jobs.upload import (
    add_chunk,
    begin_upload,
    complete_upload,
    end_upload,
    has_chunk,
    is_completed,
)
from shared.db.queries.jobs import are_stored
from shared.domain.chunks import Dispatch, DispatchPolicy, NewChunk, Submission
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import ChunkRef, JobFailure, JobId, JobState
from shared.observability.tracing import NoTraces, Span, Traces, below

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUploadRepository:
    """Stores each step of an upload in a transaction of its own.

    `patience` is how long the next chunk may take before the sweep counts the upload as broken.
    """

    database: Database
    publish: Callable[[Sequence[Dispatch]], None]
    outbox: DispatchPolicy
    patience: timedelta
    traces: Traces = field(default_factory=NoTraces)

    def begin(self, submission: Submission, /) -> None:
        """Store the job without chunks."""
        with self._span(submission):
            self.database.write(
                lambda c: begin_upload(c, submission, self.outbox, self.patience),
                lambda c: are_stored(c, [submission.id]),
            )
        log.info("upload_begins", extra={"job": submission.id})

    def add(self, submission: Submission, chunk: NewChunk, /) -> None:
        """Store the next chunk. Raises `UploadStopped` when the job has ended meanwhile."""
        with self._span(submission):
            released = self.database.write(
                lambda c: add_chunk(c, submission, chunk, self.outbox, self.patience),
                lambda c: has_chunk(c, ChunkRef(job=submission.id, seq=chunk.seq)),
            )
        self.publish(released)

    def complete(self, submission: Submission, /) -> None:
        """Close the upload. Raises `UploadStopped` when the job has ended meanwhile."""
        with self._span(submission):
            released = self.database.write(
                lambda c: complete_upload(c, submission, self.outbox),
                lambda c: is_completed(c, submission),
            )
        self.publish([replace(dispatch, trace=submission.trace) for dispatch in released])

    def end(self, job: JobId, state: JobState, failure: JobFailure, /) -> None:
        """End the job without its rows; if the database is down, the sweep will do it."""
        try:
            self.database.write(lambda c: end_upload(c, job, state, failure))
        except DatabaseDown as error:
            log.warning("upload_left_to_sweep", extra={"job": job, "reason": error.detail})

    def _span(self, submission: Submission) -> AbstractContextManager[Span]:
        facts = {"drybeans.job": submission.id}
        return below(self.traces, submission.trace.traceparent, "commit", facts=facts)
