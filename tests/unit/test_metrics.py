"""Metrics: named as Prometheus would have them, and added up over processes."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.background.state_collector import StateCollector
from shared.broker.heartbeats import Heartbeat, ProcessKind
from shared.db.webhooks import Due
from shared.domain.errors import DatabaseDown, QueueDown
from shared.domain.jobs import Queue
from shared.models.registry import ModelRegistry
from shared.observability.metrics import (
    ALL,
    ApiMetrics,
    Metric,
    ScrapeCollector,
    SweepMetrics,
    WorkerMetrics,
)
from shared.observability.multiprocess import ProcessSlots, aggregate_metrics, exposition
from tests.service import MODEL_ROOT

EVERY = sorted({metric for part in ALL.values() for metric in part}, key=lambda m: m.name)
# What a client or a stranger can write must never become a label.
LABELS = {
    *("method", "route", "status", "queue", "state", "model", "sha256", "default", "feature"),
    *("step", "outcome", "attempt", "finding", "worker", "queues"),
}


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_would(metric: Metric) -> None:
    """A counter ends in _total, a time in _seconds, and nothing else does."""
    assert re.fullmatch(r"drybeans_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    timed = metric.kind == "histogram" and metric.name != "drybeans_intake_group_jobs"
    assert metric.name.endswith("_seconds") or not timed
    assert metric.help.endswith(".")
    assert set(metric.labels) <= LABELS


@pytest.mark.parametrize("kind", [ApiMetrics, WorkerMetrics, SweepMetrics])
def test_two_of_a_kind_do_not_meet(kind: type[ApiMetrics | WorkerMetrics | SweepMetrics]) -> None:
    """Nothing is registered for the whole process: what one counts the other does not know."""
    one, other = kind(), kind()

    one.publish_failures.inc()

    assert b"publish_failures_total 1.0" in generate_latest(one.registry)
    assert b"publish_failures_total 0.0" in generate_latest(other.registry)


_COUNT = """
import sys
from shared.observability.multiprocess import ProcessSlots, exposition, aggregate_metrics
from shared.observability.metrics import ApiMetrics
slots = ProcessSlots.__new__(ProcessSlots)
from pathlib import Path
slots.folder = Path(sys.argv[1])
slots.take(int(sys.argv[2]))
metrics = ApiMetrics()
metrics.publish_failures.inc(int(sys.argv[3]))
metrics.in_progress.inc()
print(exposition(aggregate_metrics(metrics.registry)).decode())
"""


@pytest.fixture
def slots() -> Iterator[ProcessSlots]:
    """A folder in which processes count together."""
    made = ProcessSlots()
    yield made
    made.close()


def counted(text: str) -> dict[str, float]:
    """Read all samples without labels."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }


def in_process(slots: ProcessSlots, slot: int, failures: int) -> dict[str, float]:
    """Count in `slot` in a process of its own, and give what it sees of all."""
    words = [str(slots.folder), str(slot), str(failures)]
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, *words], capture_output=True, text=True, check=True
    )
    return counted(done.stdout)


def test_a_slot_goes_on_where_its_last_process_was(slots: ProcessSlots) -> None:
    """Counters never fall and files do not pile up, however many processes come and go."""
    in_process(slots, 0, 2)
    in_process(slots, 1, 3)
    files = len(list(slots.folder.iterdir()))

    seen = in_process(slots, 0, 5)

    assert seen["drybeans_publish_failures_total"] == 10
    assert seen["drybeans_http_requests_in_progress"] == 2
    assert len(list(slots.folder.iterdir())) == files


def test_a_process_that_ended_has_nothing_in_progress(slots: ProcessSlots) -> None:
    """What it counted stays; what held only while it lived goes."""
    in_process(slots, 0, 2)
    in_process(slots, 1, 3)

    slots.leave(0)
    slots.leave(1)

    text = exposition(slots.counted()).decode()
    assert counted(text)["drybeans_publish_failures_total"] == 5
    assert "drybeans_http_requests_in_progress" not in counted(text)


def test_a_process_that_is_alone_counts_in_its_memory() -> None:
    """No folder is needed."""
    metrics = ApiMetrics()
    metrics.publish_failures.inc()

    assert aggregate_metrics(metrics.registry) is metrics.registry
    assert counted(exposition(metrics.registry).decode())["drybeans_publish_failures_total"] == 1


def heartbeats() -> list[Heartbeat]:
    """Return what a worker and a sweeper reported."""
    worker = Heartbeat(
        name="host:7", kind=ProcessKind.WORKER, clock=11.0, reported_at=12.0, age=1.0,
        details={"queues": "interactive,bulk"},
    )  # fmt: skip
    return [worker, replace(worker, name="host:8", kind=ProcessKind.SWEEPER)]


class FakeWorld:
    """A database and a Redis that answer, or do not; `looks` counts how often they were asked."""

    def __init__(self) -> None:
        self.database_down = False
        self.redis_down = False
        self.looks = 0
        self.due = Due(count=0, since=None)

    def ping_database(self) -> None:
        self.looks += 1
        if self.database_down:
            raise DatabaseDown

    def ping_redis(self) -> None:
        if self.redis_down:
            raise QueueDown

    def standing(self) -> StateCollector:
        prefix = f"{int((time.time() - 90) * 1000) >> 8:010x}"
        aged = f"{prefix[:8]}-{prefix[8:]}"
        return StateCollector(
            ping_database=self.ping_database,
            ping_redis=self.ping_redis,
            backlog=lambda: {Queue.INTERACTIVE: {}, Queue.BULK: {aged: 70}},
            running=lambda: {Queue.INTERACTIVE: 0, Queue.BULK: 30},
            webhooks=lambda: self.due,
            messages=lambda _: 4,
            heartbeats=heartbeats,
            now=lambda: datetime.now(UTC),
            catalog=lambda: ModelRegistry.read(MODEL_ROOT),
        )


def told(standing: StateCollector) -> dict[str, float]:
    """Return each sample with its labels in one word."""
    text = exposition(ScrapeCollector(standing)).decode()
    order = ("queue", "state", "worker", "queues")
    return {
        " ".join(
            [
                sample.name.removeprefix("drybeans_"),
                *(sample.labels[name] for name in order if name in sample.labels),
            ]
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_queues_and_workers_are_told_as_they_stand() -> None:
    """Rows by queue and state, the age of the oldest, and when each worker last beat."""
    found = told(FakeWorld().standing())

    assert (found["queue_rows bulk pending"], found["queue_rows bulk running"]) == (40, 30)
    assert found["queue_oldest_age_seconds bulk"] == pytest.approx(90, abs=30)
    assert found["queue_oldest_age_seconds interactive"] == 0
    assert found["worker_last_beat_timestamp_seconds host:7 interactive,bulk"] == 12
    assert (found["database_up"], found["redis_up"]) == (1, 1)


def test_webhooks_that_are_due_are_told_with_how_late_they_are() -> None:
    """None is no lateness."""
    world = FakeWorld()
    nothing = told(world.standing())
    world.due = Due(count=3, since=datetime.now(UTC) - timedelta(seconds=90))

    late = told(world.standing())

    assert (nothing["webhooks_due"], nothing["webhooks_late_seconds"]) == (0, 0)
    assert late["webhooks_due"] == 3
    assert late["webhooks_late_seconds"] == pytest.approx(90, abs=30)


def test_what_does_not_answer_is_told_as_down() -> None:
    """What depends on it is left out rather than told as nothing."""
    world = FakeWorld()
    world.database_down = world.redis_down = True

    found = told(world.standing())

    assert (found["database_up"], found["redis_up"]) == (0, 0)
    assert not [name for name in found if name.startswith(("queue_", "worker_"))]


def test_many_scrapes_are_one_look() -> None:
    """Whoever asks often does not ask the database as often."""
    world = FakeWorld()
    standing = world.standing()

    for _ in range(5):
        standing()

    assert world.looks == 1
