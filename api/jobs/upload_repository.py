"""Store uploads in the database and publish each chunk that its job may run next."""

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
    """Store each step of an upload in a separate transaction.

    `idle_timeout` is how long the next chunk may take before the sweep ends the upload.
    """

    database: Database
    publish: Callable[[Sequence[Dispatch]], None]
    dispatch_policy: DispatchPolicy
    idle_timeout: timedelta
    traces: Traces = field(default_factory=NoTraces)

    def begin(self, submission: Submission, /) -> None:
        """Store the job without chunks."""
        with self._span(submission):
            self.database.write(
                lambda c: begin_upload(c, submission, self.dispatch_policy, self.idle_timeout),
                lambda c: are_stored(c, [submission.id]),
            )
        log.info("upload_started", extra={"job": submission.id})

    def add(self, submission: Submission, chunk: NewChunk, /) -> None:
        """Store the next chunk. Raise `UploadStopped` when the job has ended meanwhile."""
        with self._span(submission):
            released = self.database.write(
                lambda c: add_chunk(c, submission, chunk, self.dispatch_policy, self.idle_timeout),
                lambda c: has_chunk(c, ChunkRef(job=submission.id, seq=chunk.seq)),
            )
        self.publish(released)

    def complete(self, submission: Submission, /) -> None:
        """Complete the upload. Raise `UploadStopped` when the job has ended meanwhile."""
        with self._span(submission):
            released = self.database.write(
                lambda c: complete_upload(c, submission, self.dispatch_policy),
                lambda c: is_completed(c, submission),
            )
        self.publish([replace(dispatch, trace=submission.trace) for dispatch in released])

    def end(self, job: JobId, state: JobState, failure: JobFailure, /) -> None:
        """End the job and discard its rows; if the database is down, the sweep will do it."""
        try:
            self.database.write(lambda c: end_upload(c, job, state, failure))
        except DatabaseDown as error:
            log.warning("upload_left_to_sweep", extra={"job": job, "reason": error.detail})

    def _span(self, submission: Submission) -> AbstractContextManager[Span]:
        facts = {"drybeans.job": submission.id}
        return below(self.traces, submission.trace.traceparent, "commit", facts=facts)
