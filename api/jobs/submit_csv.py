"""Accept CSV uploads: check the header at once, then store the lines chunk by chunk."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final, Protocol

from api.http.idempotency import ANONYMOUS, RequestContext
from api.jobs.csv_chunker import (
    ChunkLimits,
    CsvSlice,
    check_quotes,
    read_first_line,
    split_into_chunks,
)
from api.jobs.read_ahead import prefetch_one
from api.jobs.submit_rows import as_job
from api.schemas.job_options import CsvOptions, ReadOptions
from shared.domain.chunks import Encoding, NewChunk, Submission
from shared.domain.csv_layout import Header, read_header
from shared.domain.errors import DryBeansError, RequestInvalid, UploadIncomplete
from shared.domain.jobs import Job, JobFailure, JobId, JobState, Queue
from shared.models.manifest import Manifest
from shared.zstd import CompressionParameter, compress

# Digits rarely repeat: searching for few, long matches takes half the time of plain level 1.
_COMPRESSION: Final[Mapping[int, int]] = {
    CompressionParameter.compression_level: 1,
    CompressionParameter.hash_log: 8,
    CompressionParameter.min_match: 7,
}


class UploadRepository(Protocol):
    """Storage of an upload in progress; each call commits and publishes the released chunks."""

    def begin(self, submission: Submission, /) -> None:
        """Store the job without chunks."""
        ...

    def add(self, submission: Submission, chunk: NewChunk, /) -> None:
        """Store the next chunk."""
        ...

    def complete(self, submission: Submission, /) -> None:
        """Mark the upload as complete."""
        ...

    def end(self, job: JobId, state: JobState, failure: JobFailure, /) -> None:
        """End the job as failed or canceled and discard its rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvLimits:
    """Limits of CSV jobs; one chunk of up to `interactive_rows` rows is an interactive job."""

    chunk_limits: ChunkLimits
    interactive_rows: int
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class SubmitCsv:
    """Accept a job whose rows are a stream of CSV.

    A CSV of one chunk is committed in a group like a JSON job. A larger one becomes a job in the
    state `receiving`, whose first chunks run while the rest arrives. `store_manifest` must not
    raise.
    """

    read_options: ReadOptions
    accept: Callable[[Submission], None]
    store: UploadRepository
    limits: CsvLimits
    now: Callable[[], datetime]
    new_id: Callable[[], JobId]
    store_manifest: Callable[[Manifest], None]

    def __call__(
        self,
        document: Mapping[str, Any],
        stream: Iterator[bytes],
        context: RequestContext = ANONYMOUS,
    ) -> Job:
        """Receive `stream` with the options in `document` and return the job.

        Raise `RequestInvalid` (wrong header, malformed line, no rows), `UploadIncomplete`,
        `BodyTooLarge`, `BodyMalformed`, and the errors of group commit and database.
        """
        options = self.read_options(CsvOptions, document)
        header, pieces = open_csv(options.model, stream, self.limits.chunk_limits)
        chunks = _chunks(pieces)
        first = next(chunks, None)
        if first is None:
            raise RequestInvalid("The CSV has no rows.")
        submission = self._submission(options, header, context)
        second = next(chunks, None)
        if second is None:
            complete = self._single_chunk(submission, first, context)
            self.accept(complete)
            self.store_manifest(options.model)
            return as_job(complete)
        self.store.begin(submission)
        self.store_manifest(options.model)
        return self._receive(submission, chain((first, second), chunks), context)

    def _submission(
        self, options: CsvOptions, header: Header, context: RequestContext
    ) -> Submission:
        created = self.now()
        return Submission(
            id=self.new_id(),
            owner=context.owner,
            row_quota=context.row_quota,
            idempotency=context.key(complete=False),
            state=JobState.RECEIVING,
            queue=Queue.BULK,
            model_name=options.model.name,
            model_version=options.model.version,
            model_sha256=options.model.sha256,
            outputs=tuple(options.outputs),
            labels=options.labels,
            warnings=header.warnings,
            layout=header.layout,
            max_errors=options.allowed_errors,
            retention=options.retention,
            webhook=options.webhook,
            created_at=created,
            deadline_at=created + self.limits.deadline,
            trace=context.trace,
            chunks=(),
        )

    def _single_chunk(
        self, submission: Submission, chunk: NewChunk, context: RequestContext
    ) -> Submission:
        small = chunk.row_count <= self.limits.interactive_rows
        queue = Queue.INTERACTIVE if small else Queue.BULK
        key = context.key(complete=True)
        return replace(
            submission, state=JobState.QUEUED, queue=queue, chunks=(chunk,), idempotency=key
        )

    def _receive(
        self, submission: Submission, chunks: Iterable[NewChunk], context: RequestContext
    ) -> Job:
        received = []
        try:
            with closing(prefetch_one(iter(chunks))) as ahead:
                for chunk in ahead:
                    self.store.add(submission, chunk)
                    received.append(replace(chunk, body=b""))
            self.store.complete(replace(submission, idempotency=context.key(complete=True)))
        except DryBeansError as error:
            # A client that stops sending cancels its job; any other error fails it.
            state = JobState.CANCELED if isinstance(error, UploadIncomplete) else JobState.FAILED
            failure = JobFailure(code=error.code, detail=error.detail)
            self.store.end(submission.id, state, failure)
            raise
        return as_job(replace(submission, state=JobState.QUEUED, chunks=tuple(received)))


def open_csv(
    manifest: Manifest, stream: Iterator[bytes], limits: ChunkLimits
) -> tuple[Header, Iterator[CsvSlice]]:
    """Parse the header of `stream` and return it with the lines after it, split into chunks.

    Raise `RequestInvalid` for a header that does not match `manifest`.
    """
    head = read_first_line(stream, limits.line_bytes)
    names = [feature.name for feature in manifest.features]
    header = read_header(head.text, manifest.columns, names)
    delimiter = header.layout.delimiter
    check_quotes(head.raw, delimiter, head.number)
    start = (head.raw, head.rest) if header.is_data else (head.rest,)
    first_line = head.number if header.is_data else head.number + 1
    return header, split_into_chunks(chain(start, stream), limits, delimiter, first_line)


def _chunks(pieces: Iterable[CsvSlice]) -> Iterator[NewChunk]:
    row = 0
    seq = 0
    for piece in pieces:
        if not piece.row_count:
            continue
        yield NewChunk(
            seq=seq,
            first_row=row,
            first_line=piece.first_line,
            row_count=piece.row_count,
            encoding=Encoding.CSV_ZSTD,
            body=compress(piece.data, options=_COMPRESSION),
        )
        seq += 1
        row += piece.row_count
