"""Is any work left undone?"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.admin.checks.finding import CheckResult, ok, warning, wrong
from shared.admin.command import Stage, format_error
from shared.db.migrate import is_current
from shared.db.queries.inspection import ChunkStatus, oldest_jobs, read_clock, stuck_chunks
from shared.db.server_info import describe_driver_errors
from shared.domain.errors import DatabaseDown
from shared.domain.jobs import UNFINISHED, ChunkState

_ABOUT: Final = "consumers"
_LATE: Final = timedelta(seconds=30)
_LOOKED_AT: Final = 1000
_SWEEP: Final = "Start a sweeper: python -m worker.sweep."
_WORK: Final = "Start workers for it: python -m worker.main, with DRYBEANS_QUEUES."


def check_consumers(stage: Stage) -> Iterator[CheckResult]:
    """Look for work that workers and sweepers leave undone."""
    try:
        with describe_driver_errors():
            if not stage.database.read(is_current):
                return
            clock = stage.database.read(read_clock)
            chunks = stage.database.read(lambda c: stuck_chunks(c, _LATE, _LOOKED_AT))
            waiting = stage.database.read(lambda c: oldest_jobs(c, UNFINISHED, 1))
    except DatabaseDown:
        return
    found = list(judge_chunks(chunks, clock))
    yield from found
    if waiting:
        yield ok(
            _ABOUT,
            f"The oldest unfinished job is {format_error(clock - waiting[0].created_at)} old.",
        )
    elif not found:
        yield ok(_ABOUT, "No job waits.")


def judge_chunks(chunks: Sequence[ChunkStatus], clock: datetime) -> Iterator[CheckResult]:
    """Judge the chunks that do not get on."""
    pending = [chunk for chunk in chunks if chunk.state is ChunkState.PENDING]
    due = [c for c in pending if c.next_publish_at is not None and c.next_publish_at < clock]
    if due:
        oldest = format_error(clock - min(c.next_publish_at for c in due if c.next_publish_at))
        yield wrong(
            _ABOUT, f"{_some(due)} due for up to {oldest}, and nobody publishes them.",
            f"{_SWEEP} If one runs, its log says why; Redis may be down or its queues full.",
        )  # fmt: skip
    over = [
        chunk for chunk in chunks
        if chunk.state is ChunkState.RUNNING and chunk.lease_until and chunk.lease_until < clock
    ]  # fmt: skip
    if over:
        yield wrong(
            _ABOUT, f"The leases of {len(over)} chunks ran out, and nobody takes them back.",
            _SWEEP,
        )  # fmt: skip
    for queue in sorted({chunk.queue for chunk in pending if chunk not in due}):
        often = [chunk for chunk in pending if chunk not in due and chunk.queue == queue]
        yield wrong(
            _ABOUT, f"{_some(often)} published again and again to {queue}, and nobody takes them.",
            _WORK,
        )  # fmt: skip
    tried = [c for c in chunks if c.state is ChunkState.RUNNING and c.attempt > 1]
    if tried:
        yield warning(
            _ABOUT, f"{len(tried)} chunks are being tried again: workers died, or gave them back.",
            "Look at the workers' logs and memory limits: python -m shared.admin stuck",
        )  # fmt: skip


def _some(chunks: Sequence[ChunkStatus]) -> str:
    return f"{len(chunks)} chunks are" if len(chunks) != 1 else "1 chunk is"
