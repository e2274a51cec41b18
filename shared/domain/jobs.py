"""What a job and its chunks are, and every move they may make."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from shared.domain.csv_layout import CsvLayout

JobId = NewType("JobId", str)
"""A UUIDv7 in its canonical text form: sorts by time of submission."""


def first_id_at(moment: datetime) -> JobId:
    """Return the smallest id that a job made at `moment` can have (RFC 9562, UUIDv7)."""
    first = f"{int(moment.timestamp() * 1000):012x}"
    return JobId(f"{first[:8]}-{first[8:]}-7000-8000-000000000000")


class JobState(StrEnum):
    """Where a job stands; the words are the ones in the database and in the API."""

    RECEIVING = "receiving"  # its upload is still arriving; chunks already run
    QUEUED = "queued"  # accepted, no chunk claimed yet
    RUNNING = "running"  # at least one chunk was claimed
    SUCCEEDED = "succeeded"  # every row has a label
    PARTIAL = "partial"  # some rows have a label, some an error
    FAILED = "failed"  # no row has a label, or the job as a whole was refused
    CANCELED = "canceled"  # the client asked; finished chunks keep their results
    EXPIRED = "expired"  # its deadline passed first


class ChunkState(StrEnum):
    """Where a chunk stands."""

    PENDING = "pending"  # waits for a worker
    RUNNING = "running"  # claimed: leased to one worker
    DONE = "done"  # its result is stored
    FAILED = "failed"  # given up after `max_attempts`; the result says why
    CANCELED = "canceled"  # its job was canceled or expired first


class Queue(StrEnum):
    """The two queues: small jobs never wait behind large ones."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


_OUTCOMES: Final = frozenset({JobState.SUCCEEDED, JobState.PARTIAL, JobState.FAILED})
_STOPPED: Final = frozenset({JobState.CANCELED, JobState.EXPIRED})

MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.RECEIVING: frozenset({JobState.QUEUED, JobState.RUNNING}) | _OUTCOMES | _STOPPED,
    JobState.QUEUED: frozenset({JobState.RUNNING}) | _OUTCOMES | _STOPPED,
    JobState.RUNNING: _OUTCOMES | _STOPPED,
    JobState.SUCCEEDED: frozenset(),
    JobState.PARTIAL: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
    JobState.EXPIRED: frozenset(),
}
"""Every move a job may make. Terminal states have none."""

CHUNK_MOVES: Final[Mapping[ChunkState, frozenset[ChunkState]]] = {
    ChunkState.PENDING: frozenset(
        {ChunkState.RUNNING, ChunkState.DONE, ChunkState.FAILED, ChunkState.CANCELED}
    ),
    ChunkState.RUNNING: frozenset(
        {ChunkState.DONE, ChunkState.FAILED, ChunkState.PENDING, ChunkState.CANCELED}
    ),
    ChunkState.DONE: frozenset(),
    ChunkState.FAILED: frozenset(),
    ChunkState.CANCELED: frozenset(),
}
"""Every move a chunk may make.

pending → done is a small job's first attempt, which takes no claim; running → pending is a claim
given back or a lease that ran out.
"""

TERMINAL: Final = frozenset(state for state, moves in MOVES.items() if not moves)
UNFINISHED: Final = frozenset(JobState) - TERMINAL


TOO_MANY_ERRORS: Final = "too_many_errors"
"""The failure of a job that has more bad rows than its client allows."""


def states_before(target: JobState) -> frozenset[JobState]:
    """Return the states from which a job may move to `target`: the guard of that move's UPDATE."""
    return frozenset(state for state, moves in MOVES.items() if target in moves)


def chunk_states_before(target: ChunkState) -> frozenset[ChunkState]:
    """Return the states from which a chunk may move to `target`."""
    return frozenset(state for state, moves in CHUNK_MOVES.items() if target in moves)


@dataclass(frozen=True, slots=True)
class ModelPin:
    """The one artifact that a job was accepted for; `sha256` is that of its model file."""

    name: str
    version: int
    sha256: str

    @property
    def id(self) -> str:
        """Name and version in one word, such as "drybeans@2"."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ChunkRef:
    """A reference to a chunk: all that a message carries."""

    job: JobId
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounters:
    """How far a job has come: its counters and the state that follows from them."""

    state: JobState
    rows_total: int
    rows_succeeded: int
    rows_failed: int
    chunks_total: int
    chunks_finished: int
    max_errors: int | None = None

    @property
    def too_many_errors(self) -> bool:
        """Return whether more rows failed than the client allows."""
        return self.max_errors is not None and self.rows_failed > self.max_errors

    def add(self, *, succeeded: int, failed: int, chunks: int) -> "JobCounters":
        """Add the outcome of `chunks` chunks, and move on when they were the last."""
        added = replace(
            self,
            rows_succeeded=self.rows_succeeded + succeeded,
            rows_failed=self.rows_failed + failed,
            chunks_finished=self.chunks_finished + chunks,
        )
        return replace(added, state=added._state_now())  # noqa: SLF001 - its own class

    def _state_now(self) -> JobState:
        if self.state in TERMINAL:
            return self.state
        if self.too_many_errors:
            return JobState.FAILED
        if self.state is JobState.RECEIVING or self.chunks_finished < self.chunks_total:
            return self.state
        return final_state(self.rows_succeeded, self.rows_failed)


def final_state(succeeded: int, failed: int) -> JobState:
    """Name the final state of a job whose rows have all been tried."""
    if not failed:
        return JobState.SUCCEEDED
    return JobState.PARTIAL if succeeded else JobState.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how soon a chunk is tried again.

    Attempts are counted at the claim, so a chunk that kills its worker is counted too. A small
    job's first attempt takes no claim, and counts only if it succeeds.
    """

    max_attempts: int
    first_delay: timedelta = timedelta(seconds=1)

    def exhausted(self, attempt: int) -> bool:
        """Return whether attempt number `attempt` (1 is the first) was the last one allowed."""
        return attempt >= self.max_attempts

    def delay(self, attempt: int) -> timedelta:
        """Return the wait after failed attempt number `attempt`: it doubles each time."""
        return self.first_delay * (1 << (attempt - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    """Why a job or a chunk as a whole came to nothing."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as a client may see it."""

    id: JobId
    owner: str = ""
    state: JobState
    layout: CsvLayout | None
    queue: Queue = Queue.INTERACTIVE
    model_name: str
    model_version: int
    model_sha256: str
    outputs: tuple[str, ...]
    labels: Mapping[str, str]
    rows_total: int
    rows_succeeded: int
    rows_failed: int
    attempts: int
    summary: Mapping[str, object] | None
    failure: JobFailure | None
    warnings: tuple[str, ...]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    deleted_at: datetime | None = None
    retry_of: JobId | None = None
    webhook_url: str | None = None

    @property
    def pin(self) -> ModelPin:
        """Return the artifact that the job was accepted for."""
        return ModelPin(self.model_name, self.model_version, self.model_sha256)

    @property
    def finished(self) -> bool:
        """Return whether nothing about this job will change any more."""
        return self.state in TERMINAL

    @property
    def progress(self) -> float:
        """Return the share of rows that have a label or an error, 0 to 1."""
        return self.rows_tried / max(self.rows_total, 1)

    @property
    def rows_tried(self) -> int:
        """Return the number of rows that have a label or an error: those with a result."""
        return self.rows_succeeded + self.rows_failed

    @property
    def can_retry(self) -> bool:
        """Return whether a retry of this job would find rows to run.

        These are the rows of chunks that were canceled, or that were given up; a bad row stays bad.
        """
        if not self.finished or not self.rows_total:
            return False
        given_up = self.failure is not None and self.failure.code != TOO_MANY_ERRORS
        return given_up or self.rows_tried < self.rows_total
