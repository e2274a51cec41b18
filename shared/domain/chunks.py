"""Work on its way: what is submitted, what a worker claims, and what it brings back."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.domain.csv_layout import CsvLayout
from shared.domain.errors import DryBeansError
from shared.domain.jobs import ChunkRef, JobFailure, JobId, JobState, ModelPin, Queue
from shared.domain.rows import RowError


class Encoding(StrEnum):
    """How a chunk's body holds its rows."""

    FLOAT64 = "float64"  # rows × features little-endian float64
    CSV_ZSTD = "csv+zstd"  # lines of the client's CSV, compressed with Zstandard


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChunk:
    """A slice of a job's rows, ready to be stored.

    `first_row` counts from 0 in the job, `first_line` from 1 in the CSV (0 for rows from JSON).
    """

    seq: int
    first_row: int
    first_line: int = 0
    row_count: int
    encoding: Encoding
    body: bytes
    errors: tuple[RowError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A client's name for a request, so that sending it twice makes one job.

    Both are SHA-256 in hex: of the client's key, and of the request's options and body. The
    latter is None while an upload is still arriving.
    """

    key_hash: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """Which request a chunk came with, for logs and traces; nothing depends on it.

    `traceparent` is the request's place in a trace as W3C writes it, empty where none is kept.
    """

    request_id: str = ""
    traceparent: str = ""

    @property
    def trace_id(self) -> str:
        """Name the trace, as its log lines do; empty where none is kept."""
        return self.traceparent[3:35]


NO_TRACE: Final = TraceContext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Whom to tell of a job's end: a URL that has been checked, and its host."""

    url: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job that has been checked and not yet been committed.

    More failed rows than `max_errors` fail the job. A job is `receiving` while its upload goes on.
    `row_quota` is how many rows its owner may have queued, None for any number.
    """

    id: JobId
    owner: str = ""
    row_quota: int | None = None
    idempotency: Idempotency | None = None
    queue: Queue
    model_name: str
    model_version: int
    model_sha256: str
    outputs: tuple[str, ...]
    labels: Mapping[str, str]
    warnings: tuple[str, ...]
    layout: CsvLayout | None = None
    max_errors: int | None = None
    retention: timedelta
    created_at: datetime
    deadline_at: datetime
    state: JobState = JobState.QUEUED
    trace: TraceContext = NO_TRACE
    webhook: Webhook | None = None
    chunks: tuple[NewChunk, ...]

    @property
    def row_count(self) -> int:
        """Count the rows of all chunks."""
        return sum(chunk.row_count for chunk in self.chunks)

    @property
    def size(self) -> int:
        """Count the bytes of all bodies: what the intake's bound measures."""
        return sum(len(chunk.body) for chunk in self.chunks)

    def initial_dispatches(self, window: int) -> list["Dispatch"]:
        """Return the dispatches of its first `window` chunks; the others wait for these."""
        return [
            Dispatch(
                ref=ChunkRef(job=self.id, seq=chunk.seq),
                queue=self.queue,
                row_count=chunk.row_count,
                own_message=len(self.chunks) > 1,
                trace=self.trace,
            )
            for chunk in self.chunks[:window]
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedChunk:
    """A chunk that this worker may finish, as long as nobody raises its fence.

    One that is `sole` ends its job, which has no other chunk, no limit of failed rows, no webhook.
    """

    ref: ChunkRef
    fence: int
    attempt: int
    first_row: int
    first_line: int
    row_count: int
    encoding: Encoding
    layout: CsvLayout | None
    body: bytes
    errors: tuple[RowError, ...]
    model: ModelPin
    outputs: tuple[str, ...]
    is_only_chunk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """The outcome of one claimed chunk, to be written once.

    `labels` has an entry for each row, None where `errors` says why; `probabilities` holds
    rows × classes little-endian float32 values. A chunk given up has neither, and a `failure`.
    `ids` are the rows' own, if the CSV has them; `lines` are theirs where empty lines lie between.
    """

    ref: ChunkRef
    fence: int
    first_row: int
    first_line: int
    row_count: int
    ids: Sequence[str] | None = None
    lines: Sequence[int] | None = None
    model_version: str
    labels: Sequence[str | None] | None = None
    probabilities: bytes | None = None
    errors: tuple[RowError, ...] = ()
    summary: Mapping[str, object] | None = None
    failure: JobFailure | None = None
    is_only_chunk: bool = False

    @property
    def failed_rows(self) -> int:
        """Count the rows without a label."""
        return self.row_count if self.labels is None else len(self.errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A chunk that is to be handed to Redis.

    One that travels `alone` gets a message of its own: a large chunk is work enough, and one
    that was tried before may have killed its worker, and the rest of its batch with it.
    """

    ref: ChunkRef
    queue: Queue
    row_count: int
    own_message: bool = False
    trace: TraceContext = NO_TRACE


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchPolicy:
    """When stored chunks are handed to Redis.

    `window` is the most chunks of one job that Redis knows at a time; `republish_after` is when
    the sweep first publishes a chunk again that nobody has claimed.
    """

    window: int
    republish_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """How much one message may refer to: what a worker then runs as one batch."""

    rows: int
    chunks: int


def pack_messages(
    dispatches: Iterable[Dispatch], limits: MessageLimits
) -> Iterator[tuple[Queue, list[ChunkRef]]]:
    """Put `dispatches` into as few messages as `limits` allow, in order within each queue."""
    open_messages: dict[Queue, list[ChunkRef]] = {}
    rows: Counter[Queue] = Counter()
    for dispatch in dispatches:
        queue = dispatch.queue
        if dispatch.own_message:
            yield queue, [dispatch.ref]
            continue
        message = open_messages.setdefault(queue, [])
        full = rows[queue] + dispatch.row_count > limits.rows or len(message) == limits.chunks
        if message and full:
            yield queue, message
            message = open_messages[queue] = []
            rows[queue] = 0
        message.append(dispatch.ref)
        rows[queue] += dispatch.row_count
    yield from open_messages.items()


def take_fitting(
    dispatches: Iterable[Dispatch], limits: MessageLimits, messages: int
) -> list[Dispatch]:
    """Return those of `dispatches`, all for one queue, that fit into `messages` messages.

    From the front: what comes after the first that does not fit is left.
    """
    fit: list[Dispatch] = []
    used = rows = packed = 0
    for dispatch in dispatches:
        full = rows + dispatch.row_count > limits.rows or packed == limits.chunks
        opens = dispatch.own_message or not packed or full
        if opens and used == messages:
            break
        used += opens
        if not dispatch.own_message:
            rows, packed = (0, 0) if full else (rows, packed)
            rows, packed = rows + dispatch.row_count, packed + 1
        fit.append(dispatch)
    return fit


class SubmissionsRefused(Exception):
    """Some submissions of a group were refused, and none of the group was stored."""

    def __init__(self, errors: Mapping[str, DryBeansError]) -> None:
        """Take the errors of those refused, by job id."""
        super().__init__()
        self.errors = errors
