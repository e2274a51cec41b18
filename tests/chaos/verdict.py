"""Counts what became of every job, by SQL on the database itself."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, func, select

from shared.db.engine import Database
from shared.db.schema import chunks, jobs, results
from shared.domain.jobs import TERMINAL, ChunkState, JobState, final_state
from tests.chaos.clients import Record, Sent

# How often a chunk may be claimed before it may be given up, as the settings of the stage say.
MAX_ATTEMPTS: Final = 4
_SHOWN: Final = 12


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What was counted, and everything that is wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def blame(self, kind: str, told: str) -> None:
        """Note something wrong."""
        self.counts[f"VIOLATION {kind}"] += 1
        if self.counts[f"VIOLATION {kind}"] <= _SHOWN:
            self.violations.append(f"{kind}: {told}")

    @property
    def guilty_of(self) -> set[str]:
        """Return the kinds of violations found."""
        words = (name.partition(" ") for name in self.counts)
        return {kind for word, _, kind in words if word == "VIOLATION"}


@dataclass(slots=True, kw_only=True)
class _Stored:
    """A job with its chunks and results, as stored."""

    job: Any
    chunks: list[Any] = field(default_factory=list)
    results: dict[int, Any] = field(default_factory=dict)


def judge(database: Database, record: Record) -> Verdict:
    """Compare what clients were told with what is stored, row by row."""
    verdict = Verdict()
    stored = database.read(_read_all)
    for surprise in record.surprises:
        verdict.blame("surprise", surprise)
    _judge_accepted(verdict, stored, record)
    for found in stored.values():
        sent = record.sent.get(found.job.labels.get("tag", ""))
        if sent is None:
            verdict.blame("stranger", f"nobody sent job {found.job.id}")
            continue
        verdict.counts["jobs stored"] += 1
        verdict.counts[f"state {found.job.state}"] += 1
        for kind, told in _flaws(found, sent):
            verdict.blame(kind, f"{sent.kind} {found.job.id} ({found.job.state}): {told}")
    return verdict


def _read_all(connection: Connection) -> Mapping[str, _Stored]:
    stored = {job.id: _Stored(job=job) for job in connection.execute(select(jobs))}
    for chunk in connection.execute(select(chunks).order_by(chunks.c.job_id, chunks.c.seq)):
        stored[chunk.job_id].chunks.append(chunk)
    for result in connection.execute(select(results)):
        stored[result.job_id].results[result.seq] = result
    return stored


def _judge_accepted(verdict: Verdict, stored: Mapping[str, _Stored], record: Record) -> None:
    by_tag = Counter(
        found.job.labels.get("tag") for found in stored.values() if not _came_to_nothing(found)
    )
    for sent in record.accepted:
        verdict.counts["accepted"] += 1
        verdict.counts["accepted rows"] += len(sent.rows)
        verdict.counts[f"accepted {sent.kind}"] += 1
        found = stored.get(str(sent.job))
        if found is None:
            verdict.blame("lost", f"{sent.kind} {sent.job} was accepted and is not there")
        elif found.job.labels.get("tag") != sent.tag:
            verdict.blame("mixed up", f"{sent.job} is another job")
    for sent in record.sent.values():
        live = by_tag[sent.tag]
        if live and sent.denied:
            verdict.blame("denied", f"{sent.kind} {sent.tag} was said not to be accepted and is")
        if live > 1:
            verdict.blame("doubled", f"{live} jobs came of {sent.kind} {sent.tag}")


def _flaws(found: _Stored, sent: Sent) -> Iterator[tuple[str, str]]:
    job = found.job
    if job.state not in TERMINAL:
        yield "unfinished", f"{_states(found.chunks)}, {job.chunks_finished} counted"
        if len(found.results) != job.chunks_finished:
            yield "uncounted", f"{len(found.results)} results, {job.chunks_finished} counted"
        return
    yield from _chunk_flaws(found)
    if _came_to_nothing(found):
        # Under one key a first try may come to nothing and a second one be accepted.
        if sent.job == job.id:
            yield "accepted, then failed", str(job.error_code)
        return
    yield from _counter_flaws(found)
    yield from _state_flaws(found, sent)
    yield from _label_flaws(found, sent)


def _came_to_nothing(found: _Stored) -> bool:
    """Return whether the job is an upload that broke off: its client was told, or went away."""
    return found.job.state == JobState.FAILED and found.job.error_code not in {
        None,
        "worker_died",
        "prediction_failed",
    }


def _states(parts: Iterable[Any]) -> str:
    counted = Counter(part.state for part in parts)
    return ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))


def _chunk_flaws(found: _Stored) -> Iterator[tuple[str, str]]:
    for chunk in found.chunks:
        flaw = _chunk_flaw(chunk, found.results.get(chunk.seq))
        # What had arrived of an upload that broke off is erased, results included.
        if flaw and not (flaw == "no result" and _came_to_nothing(found)):
            yield flaw, f"chunk {chunk.seq} is {chunk.state} under fence {chunk.fence}"
    for seq in found.results.keys() - {chunk.seq for chunk in found.chunks}:
        yield "result of no chunk", str(seq)


def _chunk_flaw(chunk: Any, result: Any) -> str | None:
    if chunk.state in {ChunkState.PENDING, ChunkState.RUNNING}:
        return "open chunk"
    if chunk.state == ChunkState.CANCELED:
        return None if result is None else "result of a canceled chunk"
    if result is None:
        return "no result"
    return None if result.fence == chunk.fence else "stale result"


def _failed_rows(result: Any) -> int:
    if result.labels is None:
        return int(result.row_count)
    return sum(label is None for label in result.labels)


def _counter_flaws(found: _Stored) -> Iterator[tuple[str, str]]:
    job = found.job
    written = found.results.values()
    failed = sum(_failed_rows(result) for result in written)
    sums = {
        "rows_total": sum(chunk.row_count for chunk in found.chunks),
        "rows_failed": failed,
        "rows_succeeded": sum(result.row_count for result in written) - failed,
        "chunks_total": len(found.chunks),
        "chunks_finished": len(written),
    }
    for name, expected in sums.items():
        if getattr(job, name) != expected:
            yield "wrong counter", f"{name} is {getattr(job, name)}, should be {expected}"


def _state_flaws(found: _Stored, sent: Sent) -> Iterator[tuple[str, str]]:
    job = found.job
    if job.state == JobState.CANCELED:
        if sent.kind not in {"canceled", "aborted"}:
            yield "wrong state", "nobody canceled it"
        if sent.cancel_denied:
            yield "denied", "its cancel was said to be impossible and has worked"
        return
    if sent.canceled:
        yield "wrong state", "it was canceled"
    expected = final_state(job.rows_succeeded, job.rows_failed)
    if job.state != expected:
        yield "wrong state", f"its counters say {expected}"
    if sent.kind == "poison" and job.error_code != "worker_died":
        yield "poison", f"failed with {job.error_code}"


def _label_flaws(found: _Stored, sent: Sent) -> Iterator[tuple[str, str]]:
    for result in found.results.values():
        if result.error_code is not None:
            yield from _surrender_flaws(found, sent, result)
            continue
        expected = sent.labels[result.first_row : result.first_row + result.row_count]
        if list(result.labels) != list(expected):
            wrong = sum(a != b for a, b in zip(result.labels, expected, strict=False))
            yield "wrong labels", f"chunk {result.seq}: {wrong} of {len(expected)}"


def _surrender_flaws(found: _Stored, sent: Sent, result: Any) -> Iterator[tuple[str, str]]:
    if sent.kind == "poison":
        return
    chunk = found.chunks[result.seq]
    if chunk.attempt < MAX_ATTEMPTS:
        yield "given up too soon", f"chunk {result.seq} after {chunk.attempt}: {result.error_code}"
    elif result.error_code != "worker_died":
        yield "failed by us", f"chunk {result.seq}: {result.error_code}, {result.error_detail}"


def judge_given_up(
    verdict: Verdict, database: Database, record: Record, attempts_lost: int
) -> None:
    """Count the chunks of healthy jobs that were given up: honest, but not what anyone wants.

    It is a violation where too few faults struck for a chunk to have lost all its attempts.
    """
    poison = {sent.job for sent in record.sent.values() if sent.kind == "poison"}
    query = select(*results.c["job_id", "seq", "error_detail"])
    query = query.where(results.c.error_code.is_not(None))
    found = database.read(lambda c: c.execute(query).all())
    given_up = [result for result in found if result.job_id not in poison]
    verdict.counts["healthy chunks given up"] = len(given_up)
    if attempts_lost < MAX_ATTEMPTS:
        for result in given_up:
            verdict.blame("given up", f"{result.job_id}/{result.seq}: {result.error_detail}")


def open_work(database: Database) -> int:
    """Count the jobs that have not finished."""
    query = select(func.count()).select_from(jobs).where(jobs.c.state.not_in(TERMINAL))
    return int(database.read(lambda c: c.scalar(query)) or 0)
