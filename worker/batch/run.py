"""The whole product on one screen: take a batch, predict it, write its results once."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from types import MappingProxyType
from typing import Final, TypeVar

from shared.broker.client import MessageQueue
from shared.chunk_lines import lines_of_rows
from shared.db.engine import Connection, Database
from shared.db.jobs.claim import Claimant, claim, extend, give_back
from shared.db.jobs.complete import Completion, complete
from shared.db.jobs.complete_optimistic import complete_optimistic, read_unclaimed
from shared.db.mysql_pipeline import StaleRows
from shared.domain.chunks import NO_TRACE, ChunkResult, ClaimedChunk, Dispatch, DispatchPolicy
from shared.domain.errors import (
    DatabaseBusy,
    DatabaseDown,
    DatabaseUnwritable,
    ModelUnavailable,
    QueueDown,
)
from shared.domain.jobs import ChunkRef, JobFailure, ModelPin, RetryPolicy
from worker.batch.instrumentation import BatchInstrumentation, BatchObservation
from worker.batch.lease_keeper import LeaseKeeper
from worker.batch.predict import predict_chunks
from worker.batch.trace_context import TraceContexts
from worker.models.loader import ModelLoader

log = logging.getLogger(__name__)

T = TypeVar("T")

# For some ten minutes, as an upgrade takes, a chunk waits for a worker that can load its model: it
# is claimed so many times, the first pauses between them being shorter.
_MODEL_PAUSE: Final = timedelta(seconds=5)
_MODEL_CLAIMS: Final = 120
# How long a chunk waits whose result could not be stored.
_DATABASE_PAUSE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBatch:
    """Runs the chunks that a message refers to.

    `patience` is how long finished predictions are kept for a database that stores nothing now. A
    process runs one batch at a time: `lock` keeps a message and polling of the database apart.
    """

    database: Database
    models: ModelLoader
    queue: MessageQueue
    new_token: Callable[[], str]
    lease: timedelta
    retry: RetryPolicy
    outbox: DispatchPolicy
    watch: BatchInstrumentation = field(default_factory=BatchInstrumentation)
    leases: LeaseKeeper = field(default_factory=LeaseKeeper)
    patience: timedelta = timedelta(seconds=60)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(
        self, refs: Sequence[ChunkRef], trails: TraceContexts = MappingProxyType({})
    ) -> None:
        """Finish those of `refs` that nobody else has claimed; `trails` say whence they came."""
        with self.lock, self.watch.batch(trails) as seen:
            if not self._run_optimistic(refs, seen, trails):
                self._run_claimed(refs, seen, trails)

    def _run_optimistic(
        self, refs: Sequence[ChunkRef], seen: BatchObservation, trails: TraceContexts
    ) -> bool:
        """Run small jobs that nobody has tried without a claim, and say whether that succeeded.

        If not, nothing has changed. What went wrong will go wrong again under a claim, where
        attempts are counted.
        """
        began = time.monotonic()
        with seen.step("read"):
            found = self.database.read(lambda connection: read_unclaimed(connection, refs))
        if not found or len(found) < len(refs):
            return False
        try:
            with seen.step("predict"):
                outcomes = [one for chunks in _by_model(found) for one in self._predict(chunks)]
        except Exception as error:  # noqa: BLE001 - whatever a model raises
            log.info(
                "unclaimed_failed",
                extra={"chunks": len(found), "reason": f"{type(error).__name__}: {error}"},
            )
            return False
        try:
            with seen.step("finish"):
                finished = self._finish(
                    lambda c: complete_optimistic(c, outcomes, time.monotonic() - began), trails
                )
        except StaleRows:
            return False
        seen.taken(found)
        seen.finished(outcomes, finished)
        return True

    def _run_claimed(
        self, refs: Sequence[ChunkRef], seen: BatchObservation, trails: TraceContexts
    ) -> None:
        claimant = Claimant(token=self.new_token(), lease=self.lease)
        with seen.step("claim"):
            # A claim that was committed unheard is found again; abandoned it would be an attempt.
            claimed = self._write(lambda c: claim(c, refs, claimant), self.lease)
        absent = {
            chunk.model
            for chunk in claimed
            if chunk.fence <= _MODEL_CLAIMS and not self.models.settled(chunk.model)
        }
        if absent:
            self._load_unclaimed(absent, claimed, seen, trails)
            return
        seen.taken(claimed)
        if not claimed:
            return
        with self._keep_leases(claimed, claimant):
            with seen.step("predict"):
                outcomes = self._outcomes(claimed)
            with seen.step("finish"):
                finished = self._finish_claimed(claimed, outcomes, trails) if outcomes else None
        seen.finished(outcomes, finished)

    def _finish_claimed(
        self,
        claimed: Sequence[ClaimedChunk],
        outcomes: Sequence[ChunkResult],
        trails: TraceContexts,
    ) -> Completion:
        """Write `outcomes`; give their chunks back, uncounted, if there is no room for results."""
        try:
            return self._finish(lambda c: complete(c, outcomes, self.outbox), trails)
        except (DatabaseBusy, DatabaseUnwritable) as error:
            done = {outcome.ref for outcome in outcomes}
            unwritten = [chunk for chunk in claimed if chunk.ref in done]
            self._give_back(unwritten, error.detail, _DATABASE_PAUSE, counted=False)
            raise

    def _load_unclaimed(
        self,
        absent: Collection[ModelPin],
        claimed: Sequence[ClaimedChunk],
        seen: BatchObservation,
        trails: TraceContexts,
    ) -> None:
        """Return the chunks, load their models, and claim them again.

        Loading may take longer than anything else and may kill the process (a model that does not
        fit into memory): neither is the fault of a chunk, so none is claimed meanwhile.
        """
        self._give_back(claimed, "A worker loads its model.", _MODEL_PAUSE, counted=False)
        for pin in absent:
            with suppress(ModelUnavailable):
                self.models(pin)
        if all(self.models.settled(pin) for pin in absent):
            self._run_claimed([chunk.ref for chunk in claimed], seen, trails)

    def _outcomes(self, claimed: Sequence[ClaimedChunk]) -> list[ChunkResult]:
        outcomes: list[ChunkResult] = []
        for chunks in _by_model(claimed):
            try:
                outcomes += self._predict(chunks)
            except ModelUnavailable as error:
                outcomes += self._release_for_other_workers(chunks, error)
            except Exception:
                log.exception("batch_failed", extra={"chunks": len(chunks)})
                # One bad chunk must not take the others with it: find it by trying each alone.
                outcomes += [result for chunk in chunks if (result := self._retry_alone(chunk))]
        return outcomes

    def _release_for_other_workers(
        self, chunks: Sequence[ClaimedChunk], error: ModelUnavailable
    ) -> Iterator[ChunkResult]:
        """Release chunks whose model this worker cannot load, since others may load it."""
        reason = error.detail
        log.warning("model_unavailable", extra={"chunks": len(chunks), "reason": reason})
        for chunk in chunks:
            if chunk.fence > _MODEL_CLAIMS:
                detail = f"For ten minutes no worker could load {chunk.model.id}. {reason}"
                yield _given_up(chunk, JobFailure(code=error.code, detail=detail))
            else:
                pause = min(timedelta(seconds=chunk.fence), _MODEL_PAUSE)
                self._give_back([chunk], reason, pause, counted=False)

    def _give_back(
        self, chunks: Sequence[ClaimedChunk], reason: str, after: timedelta, *, counted: bool = True
    ) -> None:
        def work(connection: Connection) -> None:
            for chunk in chunks:
                give_back(connection, chunk, reason=reason, after=after, counted=counted)

        self._write(work, self.lease)

    def _predict(self, chunks: Sequence[ClaimedChunk]) -> list[ChunkResult]:
        return predict_chunks(self.models(chunks[0].model), chunks)

    def _retry_alone(self, chunk: ClaimedChunk) -> ChunkResult | None:
        try:
            return self._predict([chunk])[0]
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.exception("chunk_failed", extra=_fields(chunk) | {"attempt": chunk.attempt})
            if self.retry.exhausted(chunk.attempt):
                detail = f"Every one of {chunk.attempt} attempts failed; the last with {reason}"
                return _given_up(chunk, JobFailure(code="prediction_failed", detail=detail))
            self._give_back([chunk], reason, self.retry.delay(chunk.attempt))
            return None

    def _finish(
        self, work: Callable[[Connection], Completion], trails: TraceContexts
    ) -> Completion:
        # The answers are right and the fence keeps them safe: worth waiting for.
        finished = self._write(work, self.patience)
        if finished.released:
            self._publish(finished.released, trails)
        self._notify(finished)
        return finished

    def _write(self, work: Callable[[Connection], T], patience: timedelta) -> T:
        """Commit `work`, tried again for up to `patience` while the database cannot store it."""
        until = time.monotonic() + patience.total_seconds()
        while True:
            try:
                return self.database.write(work)
            except DatabaseDown as error:
                if time.monotonic() > until:
                    raise
                log.warning("database_waited_for", extra={"reason": error.detail})
                time.sleep(1)

    def _publish(self, released: Sequence[Dispatch], trails: TraceContexts) -> None:
        try:
            self.queue.publish(replace(d, trace=trails.get(d.ref.job, NO_TRACE)) for d in released)
        except QueueDown as error:
            self.watch.queue_down()
            log.warning("publish_failed", extra={"reason": error.detail})

    def _notify(self, finished: Completion) -> None:
        going_on = {ref.job for ref in finished.written} - finished.jobs.keys()
        try:
            if finished.jobs:
                self.queue.notify(finished.jobs, ended=True)
            if going_on:
                self.queue.notify(going_on, ended=False)
        except QueueDown as error:
            # Whoever waits finds it a little later.
            log.debug("telling_failed", extra={"reason": error.detail})

    def _keep_leases(
        self, claimed: Sequence[ClaimedChunk], claimant: Claimant
    ) -> AbstractContextManager[None]:
        """Renew the lease for as long as the batch runs."""

        def renew() -> None:
            self.database.write(lambda connection: extend(connection, claimed, claimant))

        return self.leases.keep_alive(self.lease.total_seconds() / 3, renew)


def _by_model(claimed: Sequence[ClaimedChunk]) -> Iterator[list[ClaimedChunk]]:
    def key(chunk: ClaimedChunk) -> tuple[str, int, str, tuple[str, ...]]:
        model = chunk.model
        return model.name, model.version, model.sha256, chunk.outputs

    for _, chunks in groupby(sorted(claimed, key=key), key=key):
        yield list(chunks)


def _fields(chunk: ClaimedChunk) -> dict[str, object]:
    return {"job": chunk.ref.job, "chunk": chunk.ref.seq}


def _given_up(chunk: ClaimedChunk, failure: JobFailure) -> ChunkResult:
    return ChunkResult(
        ref=chunk.ref,
        fence=chunk.fence,
        first_row=chunk.first_row,
        first_line=chunk.first_line,
        row_count=chunk.row_count,
        model_version=chunk.model.id,
        lines=lines_of_rows(chunk.encoding, chunk.body, chunk.first_line),
        failure=failure,
    )
