"""The intake: groups form by themselves, and every submission gets its own answer."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from api.background.group_commit import GroupCommitLimits, GroupCommitWriter
from shared.domain.chunks import Dispatch, Submission, SubmissionsRefused
from shared.domain.errors import (
    CommitUncertain,
    DatabaseDown,
    DryBeansError,
    IntakeFull,
    QuotaExceeded,
)
from tests.factories import a_submission

ROOMY = GroupCommitLimits(jobs=100, bytes=10**6, group=50, seconds=3600.0)


class Store:
    """Remembers the groups it is given; waits at a gate, and refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.groups: list[list[Submission]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.refuse: Callable[[Submission], bool] = lambda _: False
        self.error: Exception = ValueError("bad row")

    def __call__(self, group: Sequence[Submission]) -> list[Dispatch]:
        self.entered.release()
        assert self.gate.wait(3600)
        if any(self.refuse(submission) for submission in group):
            raise self.error
        self.groups.append(list(group))
        return [d for submission in group for d in submission.initial_dispatches(1)]


NEVER_SOON = replace(ROOMY, gather=3600.0)


@contextmanager
def an_intake(
    store: Store, limits: GroupCommitLimits = ROOMY
) -> Iterator[tuple[GroupCommitWriter, list[Dispatch]]]:
    """Run an intake on `store`, with what it publishes."""
    published: list[Dispatch] = []
    intake = GroupCommitWriter(store, published.extend, limits)
    intake.start()
    yield intake, published
    store.gate.set()
    intake.close()


def test_a_lone_submission_is_stored_at_once_and_published() -> None:
    """Nothing waits for a group to fill."""
    store, job = Store(), a_submission()
    with an_intake(store) as (intake, published):
        intake.submit(job)

    assert store.groups == [[job]]
    assert [dispatch.ref.job for dispatch in published] == [job.id]


def test_submissions_that_arrive_during_a_commit_are_stored_together() -> None:
    """While one group is being committed, the next gathers."""
    store, jobs = Store(), [a_submission() for _ in range(11)]
    store.gate.clear()
    with an_intake(store) as (intake, _), ThreadPoolExecutor(11) as pool:
        first = pool.submit(intake.submit, jobs[0])
        assert store.entered.acquire(timeout=3600)
        rest = [pool.submit(intake.submit, job) for job in jobs[1:]]
        wait_for(lambda: intake.pending == 10)
        store.gate.set()
        for future in (first, *rest):
            future.result(timeout=3600)

    assert [len(group) for group in store.groups] == [1, 10]


def submit_during_a_commit(
    store: Store, writer: GroupCommitWriter, pool: ThreadPoolExecutor, count: int
) -> list[Future[None]]:
    """Submit a job, and `count` more while it is being committed: they form a group."""
    store.gate.clear()
    futures = [pool.submit(writer.submit, a_submission())]
    assert store.entered.acquire(timeout=3600)
    futures += [pool.submit(writer.submit, a_submission()) for _ in range(count)]
    wait_for(lambda: writer.pending == count)
    store.gate.set()
    return futures


def test_after_a_group_of_several_a_larger_one_gathers() -> None:
    """Twice as many are stored together; those before them wait for the others."""
    store = Store()
    with an_intake(store, NEVER_SOON) as (writer, _), ThreadPoolExecutor(8) as pool:
        for future in submit_during_a_commit(store, writer, pool, 2):
            future.result(timeout=3600)
        rest = [pool.submit(writer.submit, a_submission()) for _ in range(3)]
        wait_for(lambda: writer.pending == 3)
        rest.append(pool.submit(writer.submit, a_submission()))
        for future in rest:
            future.result(timeout=3600)

    assert [len(group) for group in store.groups] == [1, 2, 4]


def test_a_group_that_does_not_grow_is_stored_all_the_same() -> None:
    """The wait is short, and a lone submission after it does not wait at all."""
    store = Store()
    soon = replace(ROOMY, gather=0.01)
    with an_intake(store, soon) as (writer, _), ThreadPoolExecutor(8) as pool:
        for future in submit_during_a_commit(store, writer, pool, 2):
            future.result(timeout=3600)
        writer.submit(a_submission())

    assert [len(group) for group in store.groups] == [1, 2, 1]


def test_closing_does_not_wait_for_a_group_to_gather() -> None:
    """What is pending is stored at once."""
    store = Store()
    with an_intake(store, NEVER_SOON) as (writer, _), ThreadPoolExecutor(8) as pool:
        for future in submit_during_a_commit(store, writer, pool, 2):
            future.result(timeout=3600)
        last = pool.submit(writer.submit, a_submission())
        wait_for(lambda: writer.pending == 1)
        writer.close()
        last.result(timeout=3600)

    assert [len(group) for group in store.groups] == [1, 2, 1]


def test_a_group_is_never_larger_than_its_limit() -> None:
    """A transaction stays short however many wait."""
    store = Store()
    store.gate.clear()
    limits = GroupCommitLimits(jobs=100, bytes=10**6, group=4, seconds=3600.0)
    with an_intake(store, limits) as (intake, _), ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(intake.submit, a_submission()) for _ in range(10)]
        wait_for(lambda: intake.pending >= 6)
        store.gate.set()
        for future in futures:
            future.result(timeout=3600)

    assert max(map(len, store.groups)) == 4
    assert sum(map(len, store.groups)) == 10


@pytest.mark.parametrize(
    "limits",
    [
        GroupCommitLimits(jobs=1, bytes=10**6, group=50, seconds=3600.0),
        GroupCommitLimits(jobs=100, bytes=20, group=50, seconds=3600.0),
    ],
    ids=["count", "bytes"],
)
def test_a_full_intake_refuses_at_once(limits: GroupCommitLimits) -> None:
    """The bound holds for the number of waiting jobs and for their bytes."""
    store = Store()
    store.gate.clear()
    with an_intake(store, limits) as (intake, _), ThreadPoolExecutor(2) as pool:
        taken = pool.submit(intake.submit, a_submission())
        assert store.entered.acquire(timeout=3600)
        waiting = pool.submit(intake.submit, a_submission())
        wait_for(lambda: intake.pending == 1)

        with pytest.raises(IntakeFull):
            intake.submit(a_submission())

        store.gate.set()
        taken.result(timeout=3600)
        waiting.result(timeout=3600)
        intake.submit(a_submission())


def test_one_refused_submission_does_not_take_its_group_with_it() -> None:
    """What the database refuses is found by storing each alone."""
    store, good, bad = Store(), a_submission(), a_submission()
    store.refuse = lambda submission: submission.id == bad.id
    store.gate.clear()
    with an_intake(store) as (intake, _), ThreadPoolExecutor(3) as pool:
        plug = pool.submit(intake.submit, a_submission())
        assert store.entered.acquire(timeout=3600)
        futures = [pool.submit(intake.submit, job) for job in (good, bad)]
        wait_for(lambda: intake.pending == 2)
        store.gate.set()
        plug.result(timeout=3600)
        futures[0].result(timeout=3600)
        with pytest.raises(ValueError, match="bad row"):
            futures[1].result(timeout=3600)

    assert [good] in store.groups


def test_a_database_that_is_down_is_told_to_everyone_who_waits() -> None:
    """Nobody is left without an answer, and the next submission is tried again."""
    store = Store()
    store.refuse, store.error = lambda _: True, DatabaseDown()
    with an_intake(store) as (intake, _):
        with pytest.raises(DatabaseDown):
            intake.submit(a_submission())
        store.refuse = lambda _: False
        intake.submit(a_submission())

    assert len(store.groups) == 1


def test_a_submission_not_yet_taken_is_withdrawn_when_its_time_is_over() -> None:
    """A client that was told 503 for certain never finds its job accepted later."""
    store = Store()
    store.gate.clear()
    limits = GroupCommitLimits(jobs=100, bytes=10**6, group=50, seconds=0.05)
    with an_intake(store, limits) as (intake, _), ThreadPoolExecutor(1) as pool:
        plug = pool.submit(intake.submit, a_submission())
        assert store.entered.acquire(timeout=3600)
        with pytest.raises(DatabaseDown, match="nothing was accepted"):
            intake.submit(a_submission())
        with pytest.raises(CommitUncertain):
            plug.result(timeout=3600)
        store.gate.set()

    assert [len(group) for group in store.groups] == [1]


def test_closing_stores_what_was_taken_and_refuses_the_rest() -> None:
    """A server that stops answers what it has accepted."""
    store = Store()
    with an_intake(store) as (intake, _):
        intake.submit(a_submission())
        intake.close()
        with pytest.raises(IntakeFull):
            intake.submit(a_submission())


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until `condition` holds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("waited in vain")


class QuotaStore(Store):
    """Refuses the submissions with these ids as the database does for a row quota."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()
        self.calls = 0

    def __call__(self, group: Sequence[Submission]) -> list[Dispatch]:
        self.calls += 1
        refused: dict[str, DryBeansError] = {
            job.id: QuotaExceeded() for job in group if job.id in self.refused
        }
        if refused:
            self.entered.release()
            assert self.gate.wait(3600)
            raise SubmissionsRefused(refused)
        return super().__call__(group)


def test_submissions_over_a_quota_are_refused_and_the_others_stored_together() -> None:
    """Two commits serve the group, however many of it are refused."""
    store, jobs = QuotaStore(), [a_submission() for _ in range(11)]
    store.refused = {job.id for job in jobs[1:6]}
    store.gate.clear()
    with an_intake(store) as (intake, _), ThreadPoolExecutor(11) as pool:
        first = pool.submit(intake.submit, jobs[0])
        assert store.entered.acquire(timeout=3600)
        rest = [pool.submit(intake.submit, job) for job in jobs[1:]]
        wait_for(lambda: intake.pending == 10)
        store.gate.set()
        errors = [future.exception() for future in [first, *rest]]

    assert [type(error) for error in errors] == [type(None)] + [QuotaExceeded] * 5 + [
        type(None)
    ] * 5
    assert [{job.id for job in group} for group in store.groups] == [
        {jobs[0].id},
        {job.id for job in jobs[6:]},
    ]
    assert store.calls == 3
