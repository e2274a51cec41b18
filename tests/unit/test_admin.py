"""What the operator's commands judge and write, without a database or Redis."""

import argparse
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.admin.checks.clock import judge as judge_clock
from shared.admin.checks.consumers import judge_chunks
from shared.admin.checks.database import judge as judge_database
from shared.admin.checks.finding import CheckResult, Severity
from shared.admin.checks.processes import judge as judge_processes
from shared.admin.checks.redis import judge as judge_redis
from shared.admin.command import count, duration, format_error, table
from shared.admin.jobs import explain
from shared.broker.heartbeats import Heartbeat, ProcessKind
from shared.db.queries.inspection import ChunkStatus
from shared.db.server_info import Server
from shared.domain.jobs import ChunkRef, ChunkState, JobId, Queue

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WELL = {
    "innodb_flush_log_at_trx_commit": "1", "log_bin": "ON", "sync_binlog": "1",
    "binlog_format": "ROW", "max_allowed_packet": "67108864", "max_connections": "151",
    "read_only": "OFF", "transaction_isolation": "READ-COMMITTED",
}  # fmt: skip
MYSQL = Server(kind="mysql", version="8.4.6", variables=WELL, connections=20)
REDIS = {"redis_version": "7.2.1", "maxmemory_policy": "noeviction", "used_memory": 2**20}


def bad(findings: Any) -> list[CheckResult]:
    """Return those that are not ok."""
    return [finding for finding in findings if finding.level is not Severity.OK]


def test_a_server_that_is_set_up_well_is_well() -> None:
    """So are MariaDB, without a binary log, and SQLite."""
    mariadb = replace(
        MYSQL, kind="mariadb", version="10.11.14-MariaDB-log",
        variables=WELL | {"log_bin": "OFF", "sync_binlog": "0", "binlog_format": "STATEMENT"},
    )  # fmt: skip
    for server in (MYSQL, mariadb, Server(kind="sqlite", version="3.40.1", variables={})):
        assert bad(judge_database(server, chunk_bytes=4 * 2**20)) == []


@pytest.mark.parametrize(
    "change, words",
    [
        pytest.param({"innodb_flush_log_at_trx_commit": "2"}, "innodb_flush", id="flush"),
        pytest.param({"sync_binlog": "0"}, "sync_binlog is 0", id="binlog"),
        pytest.param({"binlog_format": "STATEMENT"}, "STATEMENT", id="format"),
        pytest.param({"max_allowed_packet": "4194304"}, "max_allowed_packet", id="packet"),
        pytest.param({"transaction_isolation": "REPEATABLE-READ"}, "REPEATABLE", id="isolation"),
        pytest.param({"read_only": "ON"}, "read_only", id="read only"),
        pytest.param({"max_connections": "21"}, "20 of 21", id="connections"),
    ],
)
def test_a_setting_that_breaks_a_promise_is_named(change: dict[str, str], words: str) -> None:
    """With what to do about it."""
    server = replace(MYSQL, variables=WELL | change)

    (found,) = bad(judge_database(server, chunk_bytes=4 * 2**20))

    assert words in found.what
    assert found.cure


def test_old_servers_and_odd_zones_are_named() -> None:
    """They are out of what is tested, or of what is stored."""
    old = replace(MYSQL, version="5.7.44")
    odd = replace(MYSQL, zone_seconds=3600)

    assert "8.4 or newer" in bad(judge_database(old, chunk_bytes=1))[0].what
    assert "3600 s from UTC" in bad(judge_database(odd, chunk_bytes=1))[0].what


@pytest.mark.parametrize(
    "change, words",
    [
        pytest.param({"maxmemory_policy": "allkeys-lru"}, "allkeys-lru", id="policy"),
        pytest.param({"redis_version": "5.0.14"}, "6.2 or newer", id="version"),
        pytest.param({"maxmemory": 2**20 + 1}, "100%", id="memory"),
    ],
)
def test_a_redis_that_forgets_is_named(change: dict[str, Any], words: str) -> None:
    """One that is set up well is not."""
    (found,) = bad(judge_redis(REDIS | change))

    assert words in found.what
    assert bad(judge_redis(REDIS)) == []


@pytest.mark.parametrize(
    "seconds, level", [(0.2, Severity.OK), (-3.0, Severity.WARNING), (40.0, Severity.WRONG)]
)
def test_clocks_that_differ_are_named(seconds: float, level: Severity) -> None:
    """A little is a warning, much is wrong."""
    way = "ahead of" if seconds > 0 else "behind"

    found = judge_clock("worker-1@here", seconds)

    assert found.level is level
    assert found.what == f"worker-1@here: the clock is {abs(seconds)} s {way} the database's."


def a_heartbeat(name: str, age: float = 2.0, queues: str = "interactive,bulk") -> Heartbeat:
    """Make the heartbeat of a process, which its name says the kind of."""
    kind = ProcessKind(name.partition("-")[0])
    details = {"queues": queues} if kind is ProcessKind.WORKER else {}
    return Heartbeat(
        name=name, kind=kind, clock=1000.0, reported_at=1000.0, age=age, details=details
    )


EVERYONE = [a_heartbeat(name) for name in ("api-1@a", "worker-2@b", "sweeper-3@c")]


def test_processes_that_report_are_listed() -> None:
    """With what they do and how long ago that was, so that a reader can judge too."""
    assert [(f.level, f.what) for f in judge_processes(EVERYONE)] == [
        (Severity.OK, "API processes that report: api-1@a (2s ago)."),
        (Severity.OK, "Workers that report: worker-2@b (interactive,bulk, 2s ago)."),
        (Severity.OK, "Sweepers that report: sweeper-3@c (2s ago)."),
    ]


@pytest.mark.parametrize("silent", ["api-1@a", "worker-2@b", "sweeper-3@c"])
def test_the_only_process_of_its_kind_that_is_silent_is_wrong(silent: str) -> None:
    """Killed, frozen or cut off: nobody does its work, whatever the others report."""
    reports = [a_heartbeat(h.name, 95.0 if h.name == silent else 2.0) for h in EVERYONE]

    found = [finding for finding in judge_processes(reports) if finding.level is not Severity.OK]

    name = {"api": "API process"}.get(kind := silent.partition("-")[0], kind)
    plural = {"api": "API processes", "worker": "Workers", "sweeper": "Sweepers"}[kind]
    queues = "interactive,bulk, " if kind == "worker" else ""
    assert [(f.level, f.what) for f in found] == [
        (Severity.WRONG, f"No {name} reported in the last 30 s."),
        (Severity.WARNING, f"{plural} that died or hang: {silent} ({queues}1m 35s ago)."),
    ]


def test_one_silent_worker_of_two_is_a_warning() -> None:
    """The other one does the work meanwhile."""
    reports = [*EVERYONE, a_heartbeat("worker-9@d", 31.0)]

    found = [finding for finding in judge_processes(reports) if finding.level is not Severity.OK]

    assert [(f.level, f.what) for f in found] == [
        (Severity.WARNING, "Workers that died or hang: worker-9@d (interactive,bulk, 31s ago).")
    ]


def test_a_queue_that_no_worker_reads_is_wrong() -> None:
    """Jobs of that size wait for ever, though workers report."""
    reports = [EVERYONE[0], a_heartbeat("worker-2@b", queues="interactive"), EVERYONE[2]]

    found = [finding for finding in judge_processes(reports) if finding.level is not Severity.OK]

    assert [(f.level, f.what) for f in found] == [
        (Severity.WRONG, "No worker reads the queue bulk.")
    ]


def a_standing(**changes: Any) -> ChunkStatus:
    """Make a pending chunk that was published just now."""
    chunk = ChunkStatus(
        ref=ChunkRef(job=JobId("j"), seq=0), state=ChunkState.PENDING, queue=Queue.BULK, rows=1,
        attempt=0, publishes=4, claimed_by=None, lease_until=None,
        next_publish_at=NOW + timedelta(seconds=20), error=None,
    )  # fmt: skip
    return replace(chunk, **changes)


LEASED = {"state": ChunkState.RUNNING, "attempt": 1, "next_publish_at": None}


@pytest.mark.parametrize(
    "changes, level, words, how",
    [
        pytest.param({}, Severity.WRONG, "again to bulk", "published 4 times", id="not taken"),
        pytest.param(
            {"next_publish_at": NOW - timedelta(minutes=5)},
            Severity.WRONG, "nobody publishes", "due for 5m 0s", id="not published",
        ),
        pytest.param(
            LEASED | {"lease_until": NOW - timedelta(minutes=1)},
            Severity.WRONG, "nobody takes them back", "ran out 1m 0s ago", id="not taken back",
        ),
        pytest.param(
            LEASED | {"lease_until": NOW + timedelta(seconds=9), "attempt": 3},
            Severity.WARNING, "tried again", "leased for 9s", id="tried again",
        ),
    ],
)  # fmt: skip
def test_work_that_does_not_get_on_is_explained(
    changes: dict[str, Any], level: Severity, words: str, how: str
) -> None:
    """By who is missing: the sweeper, the workers, or their luck."""
    chunk = a_standing(**changes)

    (found,) = judge_chunks([chunk], NOW)

    assert found.level is level
    assert words in found.what
    assert how in explain(chunk, NOW)


def test_times_are_read_and_written_in_words() -> None:
    """A number alone is seconds."""
    assert duration("90") == duration("90s") == timedelta(seconds=90)
    assert duration("7d") == timedelta(days=7)
    assert format_error(timedelta(seconds=90)) == "1m 30s"
    assert format_error(timedelta(days=2, hours=3, minutes=4)) == "2d 3h"
    for wrong in ("soon", "-1d", "", "1w", "1.5h"):
        with pytest.raises(argparse.ArgumentTypeError):
            duration(wrong)
    for wrong in ("0", "1001", "x"):
        with pytest.raises(argparse.ArgumentTypeError):
            count(wrong)


def test_a_table_is_as_wide_as_it_must_be() -> None:
    """And no line ends in spaces."""
    assert table(("a", "b"), [(1, ""), ("long", 2)]) == "a     b\n1\nlong  2"


def test_nothing_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    """The doctor goes on and names each part; any other command says what is missing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRYBEANS_", "MYSQL_"))}
    given = {
        "DRYBEANS_DATABASE_URL": "mysql+pymysql://me:secret@127.0.0.1:9/beans",
        "DRYBEANS_REDIS_URL": "redis://:secret@127.0.0.1:9/0",
        "DRYBEANS_MODEL_ROOT": str(tmp_path),
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "shared.admin", *words]
        return subprocess.run(
            command, env=kept | given, capture_output=True, text=True, check=False
        )

    doctor, jobs = run("doctor"), run("jobs")
    said = doctor.stdout + doctor.stderr + jobs.stdout + jobs.stderr
    assert doctor.returncode == jobs.returncode == 1
    for part in ("database", "redis", "artifacts"):
        assert f"wrong    {part}" in doctor.stdout
    assert "Can't connect to MySQL server" in jobs.stderr
    assert "secret" not in said
    assert "Traceback" not in said
