"""Receives a CSV: checks its header at once, then stores its lines chunk by chunk."""

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

# Digits seldom repeat: few and long matches are looked for, in half the time of level 1 alone.
_COMPRESSION: Final[Mapping[int, int]] = {
    CompressionParameter.compression_level: 1,
    CompressionParameter.hash_log: 8,
    CompressionParameter.min_match: 7,
}


class UploadRepository(Protocol):
    """Where a growing job is kept; each call is committed, and publishes what it releases."""

    def begin(self, submission: Submission, /) -> None:
        """Store the job without chunks."""
        ...

    def add(self, submission: Submission, chunk: NewChunk, /) -> None:
        """Store its next chunk."""
        ...

    def complete(self, submission: Submission, /) -> None:
        """Say that there are no more."""
        ...

    def end(self, job: JobId, state: JobState, failure: JobFailure, /) -> None:
        """End the job as failed or canceled, and keep none of its rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvLimits:
    """How a CSV is cut; up to `interactive_rows` rows in one chunk it counts as a small job."""

    cut: ChunkLimits
    interactive_rows: int
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class SubmitCsv:
    """Accepts a job whose rows come as a stream of CSV.

    What fits one chunk goes through the intake like any small job. More becomes a job that is
    `receiving`, whose first chunks run while the rest arrives. `store_manifest` must not fail.
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
        origin: RequestContext = ANONYMOUS,
    ) -> Job:
        """Receive `stream` from `origin` under the options in `document`, and give the job.

        Raises `RequestInvalid` (the header does not fit, a line is broken, no rows),
        `UploadIncomplete`, `BodyTooLarge`, `BodyMalformed`, and what intake and database raise.
        """
        options = self.read_options(CsvOptions, document)
        header, pieces = open_csv(options.model, stream, self.limits.cut)
        chunks = _chunks(pieces)
        first = next(chunks, None)
        if first is None:
            raise RequestInvalid("The CSV has no rows.")
        submission = self._submission(options, header, origin)
        second = next(chunks, None)
        if second is None:
            whole = self._small(submission, first, origin)
            self.accept(whole)
            self.store_manifest(options.model)
            return as_job(whole)
        self.store.begin(submission)
        self.store_manifest(options.model)
        return self._receive(submission, chain((first, second), chunks), origin)

    def _submission(
        self, options: CsvOptions, header: Header, origin: RequestContext
    ) -> Submission:
        created = self.now()
        return Submission(
            id=self.new_id(),
            owner=origin.owner,
            row_quota=origin.row_quota,
            idempotency=origin.key(complete=False),
            state=JobState.RECEIVING,
            queue=Queue.BULK,
            model_name=options.model.name,
            model_version=options.model.version,
            model_sha256=options.model.sha256,
            outputs=tuple(options.outputs),
            labels=options.labels,
            warnings=header.warnings,
            layout=header.layout,
            max_errors=options.most_errors,
            retention=options.retention,
            webhook=options.webhook,
            created_at=created,
            deadline_at=created + self.limits.deadline,
            trace=origin.trail,
            chunks=(),
        )

    def _small(self, submission: Submission, only: NewChunk, origin: RequestContext) -> Submission:
        small = only.row_count <= self.limits.interactive_rows
        queue = Queue.INTERACTIVE if small else Queue.BULK
        key = origin.key(complete=True)
        return replace(
            submission, state=JobState.QUEUED, queue=queue, chunks=(only,), idempotency=key
        )

    def _receive(
        self, submission: Submission, chunks: Iterable[NewChunk], origin: RequestContext
    ) -> Job:
        received = []
        try:
            with closing(prefetch_one(iter(chunks))) as ahead:
                for chunk in ahead:
                    self.store.add(submission, chunk)
                    received.append(replace(chunk, body=b""))
            self.store.complete(replace(submission, idempotency=origin.key(complete=True)))
        except DryBeansError as error:
            # A sender that stops has canceled; any other error lies in what it sent.
            state = JobState.CANCELED if isinstance(error, UploadIncomplete) else JobState.FAILED
            failure = JobFailure(code=error.code, detail=error.detail)
            self.store.end(submission.id, state, failure)
            raise
        return as_job(replace(submission, state=JobState.QUEUED, chunks=tuple(received)))


def open_csv(
    manifest: Manifest, stream: Iterator[bytes], cut: ChunkLimits
) -> tuple[Header, Iterator[CsvSlice]]:
    """Read the header of `stream`, and give it with what follows, cut into pieces.

    Raises `RequestInvalid` for a header that does not fit `manifest`.
    """
    head = read_first_line(stream, cut.line_bytes)
    names = [feature.name for feature in manifest.features]
    header = read_header(head.text, manifest.columns, names)
    delimiter = header.layout.delimiter
    check_quotes(head.raw, delimiter, head.number)
    begin = (head.raw, head.rest) if header.is_data else (head.rest,)
    first_line = head.number if header.is_data else head.number + 1
    return header, split_into_chunks(chain(begin, stream), cut, delimiter, first_line)


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
