"""Sees every batch that a worker runs, and says in the log what became of it."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from shared.db.finishes import Finished
from shared.domain.chunks import NO_TRAIL, ChunkResult, Claimed, Trail
from shared.domain.jobs import JobId

log = logging.getLogger(__name__)

Trails = Mapping[JobId, Trail]
Step = Literal["claim", "predict", "finish"]

# A line that names more chunks would be cut apart by what collects logs.
_NAMED: Final = 50


class SeenBatch:
    """One batch, as far as it has come."""

    def __init__(self, trails: Trails) -> None:
        """Take the `trails` of the message."""
        self._trails = trails
        self._begun = time.monotonic()
        self._claimed: Sequence[Claimed] = ()

    @contextmanager
    def step(self, _name: Step) -> Iterator[None]:
        """Watch one step."""
        yield

    def claimed(self, claimed: Sequence[Claimed]) -> None:
        """Take note of what was claimed."""
        self._claimed = claimed

    def finished(self, _outcomes: Sequence[ChunkResult], finished: Finished | None) -> None:
        """Take note of what was written of `outcomes`, if there were any."""
        for ref in finished.lost if finished else ():
            fields = {"job": ref.job, "chunk": ref.seq}
            log.warning("claim_lost", extra=fields | self._origin(ref.job))
        log.info(
            "batch_finished",
            extra={
                "chunks": len(self._claimed),
                "rows": sum(chunk.row_count for chunk in self._claimed),
                "jobs": len(finished.jobs) if finished else 0,
                "seconds": round(time.monotonic() - self._begun, 4),
            },
        )
        for at in range(0, len(self._claimed), _NAMED):
            self._name(self._claimed[at : at + _NAMED])

    def _name(self, chunks: Sequence[Claimed]) -> None:
        """Say which chunks were run and for which requests: a search for either finds them."""
        refs = [chunk.ref for chunk in chunks]
        requests = {self._trails.get(ref.job, NO_TRAIL).request_id for ref in refs} - {""}
        shown = [f"{ref.job}/{ref.seq}" for ref in refs]
        log.info("chunks_run", extra={"chunks": shown, "requests": sorted(requests)})

    def _origin(self, job: JobId) -> dict[str, object]:
        request_id = self._trails.get(job, NO_TRAIL).request_id
        return {"request_id": request_id} if request_id else {}


class BatchWatch:
    """Watches batches."""

    @contextmanager
    def batch(self, trails: Trails) -> Iterator[SeenBatch]:
        """Watch one batch, whose jobs came by `trails`."""
        yield SeenBatch(trails)
