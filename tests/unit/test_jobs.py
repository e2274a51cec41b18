"""The state machine, whole."""

import itertools
from datetime import timedelta

import pytest

from shared.domain.chunks import Dispatch, MessageLimits, pack_messages
from shared.domain.jobs import (
    CHUNK_MOVES,
    MOVES,
    TERMINAL,
    UNFINISHED,
    ChunkRef,
    ChunkState,
    JobCounters,
    JobId,
    JobState,
    Queue,
    RetryPolicy,
    chunk_states_before,
    final_state,
    states_before,
)

ALLOWED = {
    "receiving": "queued running succeeded partial failed canceled expired",
    "queued": "running succeeded partial failed canceled expired",
    "running": "succeeded partial failed canceled expired",
}
CHUNKS_ALLOWED = {
    "pending": "running done failed canceled",
    "running": "done failed pending canceled",
}


@pytest.mark.parametrize("source, target", list(itertools.product(JobState, repeat=2)))
def test_a_job_makes_only_the_moves_of_the_table(source: JobState, target: JobState) -> None:
    """Every pair of states is either written here as allowed, or forbidden."""
    allowed = target in ALLOWED.get(source, "").split()

    assert (target in MOVES[source]) == allowed
    assert (source in states_before(target)) == allowed


@pytest.mark.parametrize("source, target", list(itertools.product(ChunkState, repeat=2)))
def test_a_chunk_makes_only_the_moves_of_the_table(source: ChunkState, target: ChunkState) -> None:
    """Every pair of states is either written here as allowed, or forbidden."""
    allowed = target in CHUNKS_ALLOWED.get(source, "").split()

    assert (target in CHUNK_MOVES[source]) == allowed
    assert (source in chunk_states_before(target)) == allowed


def test_terminal_states_never_change() -> None:
    """Finished is finished."""
    assert {state.value for state in TERMINAL} == {
        "succeeded", "partial", "failed", "canceled", "expired"
    }  # fmt: skip
    assert {state.value for state in UNFINISHED} == {"receiving", "queued", "running"}


@pytest.mark.parametrize(
    "succeeded, failed, state",
    [(3, 0, JobState.SUCCEEDED), (2, 1, JobState.PARTIAL), (0, 3, JobState.FAILED)],
)
def test_rows_decide_how_a_job_ends(succeeded: int, failed: int, state: JobState) -> None:
    """All rows, some rows or no row with a label."""
    assert final_state(succeeded, failed) is state


def a_tally(state: JobState = JobState.RUNNING, chunks: int = 2) -> JobCounters:
    """Make the counters of a job of which nothing has finished."""
    return JobCounters(
        state=state,
        rows_total=10,
        rows_succeeded=0,
        rows_failed=0,
        chunks_total=chunks,
        chunks_finished=0,
    )


def test_a_job_ends_with_its_last_chunk_and_not_before() -> None:
    """Counters add up; the state changes once."""
    halfway = a_tally().add(succeeded=5, failed=0, chunks=1)
    assert halfway.state is JobState.RUNNING

    assert halfway.add(succeeded=4, failed=1, chunks=1).state is JobState.PARTIAL


def test_a_job_whose_upload_goes_on_never_ends() -> None:
    """All chunks so far are finished, but more may come."""
    tally = a_tally(JobState.RECEIVING, chunks=1).add(succeeded=5, failed=0, chunks=1)

    assert tally.state is JobState.RECEIVING


def test_the_wait_between_attempts_doubles() -> None:
    """1, 2, 4 … seconds, until the attempts are used up."""
    policy = RetryPolicy(max_attempts=3)

    assert [policy.delay(n) / timedelta(seconds=1) for n in (1, 2, 3)] == [1, 2, 4]
    assert [policy.exhausted(n) for n in (1, 2, 3, 4)] == [False, False, True, True]


def dispatch(seq: int, *, rows: int = 1, alone: bool = False, queue: str = "bulk") -> Dispatch:
    """Make a chunk on its way to Redis."""
    ref = ChunkRef(job=JobId("j"), seq=seq)
    return Dispatch(ref=ref, queue=Queue(queue), row_count=rows, own_message=alone)


def packed(*dispatches: Dispatch, rows: int = 100, chunks: int = 3) -> list[tuple[str, list[int]]]:
    """Return each message as its queue and the chunks in it."""
    limits = MessageLimits(rows=rows, chunks=chunks)
    messages = pack_messages(dispatches, limits)
    return [(queue.value, [ref.seq for ref in refs]) for queue, refs in messages]


def test_a_group_becomes_one_message() -> None:
    """What was committed together travels together."""
    assert packed(dispatch(0), dispatch(1), dispatch(2)) == [("bulk", [0, 1, 2])]


def test_a_message_is_bounded_in_chunks_and_in_rows() -> None:
    """A batch stays short enough for a lease."""
    assert packed(*map(dispatch, range(4))) == [("bulk", [0, 1, 2]), ("bulk", [3])]
    assert packed(dispatch(0, rows=60), dispatch(1, rows=60)) == [("bulk", [0]), ("bulk", [1])]
    assert packed(dispatch(0, rows=500)) == [("bulk", [0])]


def test_queues_and_lone_chunks_travel_apart() -> None:
    """A chunk that was tried before may kill its worker: it takes no other with it."""
    mixed = [dispatch(0), dispatch(1, queue="interactive"), dispatch(2, alone=True), dispatch(3)]

    assert packed(*mixed) == [("bulk", [2]), ("bulk", [0, 3]), ("interactive", [1])]


def test_nothing_to_publish_is_no_message() -> None:
    """An empty group sends nothing."""
    assert packed() == []
