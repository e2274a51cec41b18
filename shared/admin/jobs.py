"""Jobs by state and age, one job with its chunks, and chunks that do not get on."""

import argparse
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from shared.admin.command import (
    Group,
    Output,
    Stage,
    age,
    count,
    duration,
    format_error,
    one_of,
    stamp,
    table,
)
from shared.db.queries.inspection import (
    MAX_COUNTED,
    ChunkStatus,
    count_chunks,
    count_jobs,
    oldest_jobs,
    read_clock,
    stuck_chunks,
    unfinished_chunks,
)
from shared.db.queries.jobs import read_job
from shared.domain.errors import JobNotFound
from shared.domain.jobs import UNFINISHED, ChunkState, Job, JobId, JobState

_CHUNKS: Final = ("chunk", "state", "queue", "rows", "attempt", "published", "claimed by", "how")


def list_jobs(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Count the jobs in each state, and list the oldest: unfinished ones, or those in a state."""
    states = [arguments.state] if arguments.state else sorted(UNFINISHED)
    counts = stage.database.read(count_jobs)
    oldest = stage.database.read(lambda c: oldest_jobs(c, states, arguments.limit))
    clock = stage.database.read(read_clock)
    rows = [
        (
            job.id, job.state, age(job.created_at, clock), job.queue, f"{job.rows_total:,}",
            f"{job.progress:.0%}", f"{job.model_name}@{job.model_version}", job.owner or "-",
        )
        for job in oldest
    ]  # fmt: skip
    titles = ("job", "state", "age", "queue", "rows", "done", "model", "key")
    parts = [table(("state", "jobs"), [(state, _some(n)) for state, n in counts.items()])]
    parts += [table(titles, rows)] if rows else []
    return Output(
        text="\n\n".join(parts),
        document={"counts": counts, "jobs": [_document(job) for job in oldest]},
    )


def _some(number: int) -> str:
    return f"{MAX_COUNTED:,}+" if number > MAX_COUNTED else f"{number:,}"


def show_job(stage: Stage, arguments: argparse.Namespace) -> Output:
    """Show one job, and those of its chunks that are not done."""
    job = stage.database.read(lambda c: read_job(c, JobId(arguments.id)))
    if job is None:
        raise JobNotFound
    counts = stage.database.read(lambda c: count_chunks(c, job.id))
    chunks = stage.database.read(lambda c: unfinished_chunks(c, job.id, arguments.limit))
    clock = stage.database.read(read_clock)
    document = _document(job) | {
        "chunks": counts, "unfinished": [_chunk_document(chunk, clock) for chunk in chunks]
    }  # fmt: skip
    lines = [f"{name}: {_plain(value)}" for name, value in document.items() if name != "unfinished"]
    parts = ["\n".join(lines)] + ([_chunk_table(chunks, clock)] if chunks else [])
    return Output(text="\n\n".join(parts), document=document)


def _plain(value: object) -> str:
    """Write a value of a document for people: counts by word, and nothing as a dash."""
    if isinstance(value, Mapping):
        return ", ".join(f"{number} {word}" for word, number in value.items()) or "-"
    return "-" if value in {None, ""} else str(value)


def _document(job: Job) -> dict[str, Any]:
    failure = f"{job.failure.code}: {job.failure.detail}" if job.failure else None
    return {
        "id": job.id,
        "key": job.owner,
        "state": job.state,
        "queue": job.queue,
        "model": f"{job.model_name}@{job.model_version}",
        "rows": job.rows_total,
        "succeeded": job.rows_succeeded,
        "failed": job.rows_failed,
        "attempts": job.attempts,
        "created_at": stamp(job.created_at),
        "started_at": stamp(job.started_at),
        "finished_at": stamp(job.finished_at),
        "error": failure,
    }


def list_stuck(stage: Stage, arguments: argparse.Namespace) -> Output:
    """List the chunks that do not get on, and say why."""
    late = arguments.late
    chunks = stage.database.read(lambda c: stuck_chunks(c, late, arguments.limit))
    clock = stage.database.read(read_clock)
    text = _chunk_table(chunks, clock) if chunks else "Every chunk gets on."
    return Output(text=text, document=[_chunk_document(chunk, clock) for chunk in chunks])


def _chunk_table(chunks: list[ChunkStatus], clock: datetime) -> str:
    return table(
        _CHUNKS,
        [
            (
                f"{chunk.ref.job}/{chunk.ref.seq}", chunk.state, chunk.queue, chunk.rows,
                chunk.attempt, chunk.publishes, chunk.claimed_by or "-", explain(chunk, clock),
            )
            for chunk in chunks
        ],
    )  # fmt: skip


def explain(chunk: ChunkStatus, clock: datetime) -> str:
    """Return how a chunk stands, and what that means."""
    said = _explain_pending(chunk, clock) if chunk.state is ChunkState.PENDING else ""
    if chunk.state is ChunkState.RUNNING and chunk.lease_until is not None:
        over = clock - chunk.lease_until
        out = f"its lease ran out {format_error(over)} ago: does the sweeper run?"
        said = out if over > timedelta(0) else f"leased for {format_error(-over)} more"
    return f"{said}; {chunk.error}" if said and chunk.error else said or chunk.error or ""


def _explain_pending(chunk: ChunkStatus, clock: datetime) -> str:
    if chunk.next_publish_at is None:
        return "waits for earlier chunks of its job"
    over = clock - chunk.next_publish_at
    if over > timedelta(0):
        return f"due for {format_error(over)} and not published: does the sweeper run, and Redis?"
    return f"published {chunk.publishes} times and not taken yet"


def _chunk_document(chunk: ChunkStatus, clock: datetime) -> Mapping[str, Any]:
    return {
        "job": chunk.ref.job,
        "seq": chunk.ref.seq,
        "state": chunk.state,
        "queue": chunk.queue,
        "rows": chunk.rows,
        "attempt": chunk.attempt,
        "publishes": chunk.publishes,
        "claimed_by": chunk.claimed_by,
        "lease_until": stamp(chunk.lease_until),
        "next_publish_at": stamp(chunk.next_publish_at),
        "how": explain(chunk, clock),
    }


def add_to(commands: Group) -> None:
    """Add `jobs`, `job` and `stuck`."""
    listed = commands.add("jobs", list_jobs, "count jobs by state, and list the oldest")
    listed.add_argument("--state", type=one_of(JobState), metavar="STATE")
    listed.add_argument("--limit", type=count, default=20, help="jobs to list (20)")
    shown = commands.add("job", show_job, "show a job, and its chunks that are not done")
    shown.add_argument("id")
    shown.add_argument("--limit", type=count, default=20, help="chunks to list (20)")
    stuck = commands.add("stuck", list_stuck, "list chunks that do not get on, and say why")
    stuck.add_argument("--late", type=duration, default="30s", help="due for so long (30s)")
    stuck.add_argument("--limit", type=count, default=50, help="chunks to list (50)")
