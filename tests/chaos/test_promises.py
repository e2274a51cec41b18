"""Promises with a number in them, measured on the running parts."""

import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import httpx
import pytest
from sqlalchemy import func, select

from shared.db.schema import chunks, jobs
from shared.domain.jobs import TERMINAL, ChunkState, JobState
from tests.chaos.beans import Beans
from tests.chaos.parts import Part
from tests.chaos.stage import Stage, a_stage
from tests.chaos.worker import SECONDS
from tests.servers import MariaDBServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Connections that were cut on purpose are closed when their turn comes.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# What the product starts with; the fault suite has shorter times.
LEASE_SECONDS = 15.0
REAL = {
    "DRYBEANS_LEASE_SECONDS": str(LEASE_SECONDS),
    "DRYBEANS_REPUBLISH_SECONDS": "5",
    "DRYBEANS_SWEEP_SECONDS": "1",
}

# One for all: making one takes 40 ms of CPU. Each request has a connection of its own.
_CLIENT: Final = httpx.Client(
    limits=httpx.Limits(max_keepalive_connections=0), timeout=600, trust_env=False
)


def await_true(condition: Callable[[], Any], seconds: float, pause: float = 0.02) -> float:
    """Wait until `condition` holds and give the seconds that took; fail when it never does."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if condition():
            return time.monotonic() - begun
        time.sleep(pause)
    pytest.fail(f"not within {seconds:g} s")


def post(stage: Stage, rows: list[Any], **headers: str) -> httpx.Response:
    """Submit a job."""
    return _CLIENT.post(f"{stage.url}/jobs", json={"instances": rows}, headers=headers)


def count_jobs(stage: Stage, *states: JobState) -> int:
    """Count the jobs in `states`."""
    query = select(func.count()).select_from(jobs).where(jobs.c.state.in_(states))
    return stage.database.read(lambda c: c.scalar(query)) or 0


@pytest.mark.parametrize("rows", [1, 1001], ids=["without a claim", "claimed"])
def test_chunks_of_a_killed_worker_run_elsewhere_within_lease_and_5_seconds(
    mortal: MariaDBServer, folder: Path, beans: Beans, rows: int
) -> None:
    """With the times that the product starts with; the killed worker stays dead."""

    def holder() -> str:
        held = select(chunks.c.claimed_by).where(chunks.c.state == ChunkState.RUNNING)
        return str(stage.database.read(lambda c: c.scalar(held)) or "").partition("@")[0]

    # Batches take up to 100 s, so that the worker is still at it when the blow comes.
    changes = {SECONDS: "100", "DRYBEANS_CHUNK_ROWS": "2000"}
    with a_stage(mortal, folder, changes=REAL | changes) as stage:
        many = [beans.rows[n % len(beans.rows)] for n in range(rows)]
        assert post(stage, many).status_code == 202
        await_true(lambda: any(worker.batch() for worker in stage.workers), 10)
        (victim,) = (worker for worker in stage.workers if worker.batch())
        if rows > 1:
            await_true(lambda: holder() == f"worker-{victim.pid}", 10)
        assert holder() == (f"worker-{victim.pid}" if rows > 1 else "")
        stage.keeper.hold(victim)
        victim.send(signal.SIGKILL)

        seconds = await_true(
            lambda: holder() not in {"", f"worker-{victim.pid}"}, LEASE_SECONDS + 5
        )

    print(f"running elsewhere after {seconds:.1f} s")


def test_ten_thousand_queued_jobs_survive_a_flush_of_redis(
    mortal: MariaDBServer, folder: Path, beans: Beans
) -> None:
    """All are finished, with right labels, after Redis has forgotten every message."""
    total = 10_000
    with a_stage(mortal, folder, changes=REAL | {SECONDS: "0"}) as stage:
        for worker in stage.workers:
            worker.send(signal.SIGSTOP)
        submit_many(stage, beans, total)
        stage.redis.flushall()
        for worker in stage.workers:
            worker.send(signal.SIGCONT)

        seconds = await_true(lambda: count_jobs(stage, JobState.SUCCEEDED) == total, 120, pause=0.5)

        assert count_jobs(stage, *(frozenset(JobState) - TERMINAL)) == 0

    print(f"{total} jobs finished {seconds:.1f} s after the flush")


def submit_many(stage: Stage, beans: Beans, total: int) -> None:
    """Submit `total` one-row jobs from 16 clients until each has been accepted."""

    def send(share: int) -> None:
        with httpx.Client(base_url=stage.url, timeout=600, trust_env=False) as client:
            for number in range(share):
                document = {"instances": [beans.rows[number % len(beans.rows)]]}
                # A slow machine may say 503: then nothing, or one job too many, was taken.
                while client.post("/jobs", json=document).status_code != 202:
                    time.sleep(0.1)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, [total // 16] * 16))


def test_two_uploads_of_equal_size_finish_side_by_side(
    mortal: MariaDBServer, folder: Path, beans: Beans
) -> None:
    """When the first is done, the other has most of its rows, too: they share the workers."""
    rows = [list(beans.rows[n % len(beans.rows)]) for n in range(12_000)]
    with a_stage(mortal, folder, changes={SECONDS: "0.04"}) as stage:
        with ThreadPoolExecutor(2) as pool:
            both = [
                answer.json()["id"] for answer in pool.map(lambda _: post(stage, rows), range(2))
            ]
        done = select(jobs.c.rows_succeeded).where(jobs.c.id.in_(both))

        def shares() -> list[int]:
            return sorted(stage.database.read(lambda c: c.scalars(done).all()))

        await_true(lambda: shares()[1] == len(rows), 120)
        behind = shares()[0] / len(rows)
        await_true(lambda: shares()[0] == len(rows), 60)

    print(f"when the first upload was done the other had {behind:.0%} of its rows")
    assert behind > 0.8


@pytest.fixture(name="stage")
def running_stage(mortal: MariaDBServer, folder: Path) -> Iterator[Stage]:
    """All parts, with the product's own times and quick predictions."""
    with a_stage(mortal, folder, changes=REAL | {SECONDS: "0"}) as running:
        yield running


def test_the_api_answers_what_it_has_accepted_before_it_ends(
    mortal: MariaDBServer, folder: Path, beans: Beans
) -> None:
    """SIGTERM comes while forty submissions wait for a commit: each is answered with 202."""
    # Clients on a busy machine may need longer than the two seconds after which it counts as down.
    patient = {"DRYBEANS_DATABASE_ANSWER_SECONDS": "15"}
    with a_stage(mortal, folder, changes=REAL | {SECONDS: "0"} | patient) as stage:
        stage.keeper.hold(stage.api)
        with ThreadPoolExecutor(40) as pool:
            stage.database_proxy.freeze()
            answers = [pool.submit(post, stage, [beans.rows[n]]) for n in range(40)]
            await_true(lambda: stage.api.connections() == 40, 20)
            time.sleep(0.6)
            stage.api.send_main(signal.SIGTERM)
            time.sleep(0.3)
            stage.database_proxy.thaw()
            statuses = [answer.result().status_code for answer in answers]

        assert statuses == [202] * 40
        assert stage.api.wait() == 0
        await_true(lambda: count_jobs(stage, JobState.SUCCEEDED) == 40, 20)


class Waiters:
    """Clients that submit one row after the other and wait for each result."""

    def __init__(self, stage: Stage, beans: Beans, count: int) -> None:
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self._stage, self._beans = stage, beans
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self._stop.wait(0.05):
            begun = time.monotonic()
            answer = post(self._stage, [self._beans.rows[number]], Prefer="wait=20")
            self.seconds.append(time.monotonic() - begun)
            right = self._beans.labels[max(self._beans.labels)][number]
            if answer.status_code != 200 or answer.json()["results"][0]["label"] != right:
                self.wrong.append(answer.text[:200])


def test_a_rolling_restart_loses_nothing_and_delays_nothing_noticeably(
    stage: Stage, beans: Beans
) -> None:
    """The API is reloaded and each worker ended in good order while clients wait for results."""
    with Waiters(stage, beans, 4) as waiters:
        time.sleep(2)
        stage.api.send_main(signal.SIGHUP)
        time.sleep(4)
        for worker in stage.workers:
            ready = worker.said(" ready.")
            worker.send_main(signal.SIGTERM)
            await_true(partial(has_become_ready, worker, ready), 90, pause=0.2)

    middle, slowest = statistics.median(waiters.seconds), max(waiters.seconds)
    print(f"{len(waiters.seconds)} jobs, median {middle:.3f} s, slowest {slowest:.2f} s")
    assert waiters.wrong == []
    assert count_jobs(stage, *(frozenset(JobState) - TERMINAL)) == 0


def has_become_ready(worker: Part, before: int) -> bool:
    """Return whether `worker` has said that it is ready once more than `before` times."""
    return worker.said(" ready.") > before
