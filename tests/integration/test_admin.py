"""The operator's commands on each kind of database, and on a real Redis."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Connection, select, update

from shared.admin.__main__ import main
from shared.broker.client import MessageQueue
from shared.broker.heartbeats import HeartbeatStore, ProcessKind
from shared.db.engine import Database
from shared.db.jobs.complete import complete
from shared.db.schema import chunks, jobs
from shared.db.types import now
from shared.domain.chunks import MessageLimits
from shared.domain.jobs import TERMINAL, ChunkRef, JobState, Queue
from tests.factories import OUTBOX, a_submission, answered, submit, take
from tests.integration.test_queries import fill, read_whole, recorded
from tests.service import MODEL_ROOT

Admin = Callable[..., Any]


@pytest.fixture
def admin(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Admin:  # fmt: skip
    """Runs a command; gives the document that it writes, or with `text` what people read."""
    monkeypatch.setenv("DRYBEANS_DATABASE_URL", database_url)
    monkeypatch.setenv("DRYBEANS_REDIS_URL", redis_url)
    monkeypatch.setenv("DRYBEANS_MODEL_ROOT", str(MODEL_ROOT))

    def run(*words: str, code: int = 0, text: bool = False) -> Any:
        with pytest.raises(SystemExit) as ended:
            main([*words] if text else [*words, "--json"])
        assert ended.value.code == code, ended.value.code
        out = capsys.readouterr().out
        return out if text else json.loads(out)

    return run


@pytest.fixture
def queue(redis_url: str) -> MessageQueue:
    """Redis, as API, sweeper and worker have left it that are well."""
    queue = MessageQueue(redis_url, MessageLimits(rows=20_000, chunks=500), pause=0.0)
    queue.mark_epoch()
    heartbeats = HeartbeatStore(redis_url)
    for kind in ProcessKind:
        heartbeats.record(f"{kind}@here", kind, {"queues": "interactive,bulk"})
    return queue


def change(database: Database, **values: Any) -> None:
    """Change all chunks."""
    database.write(lambda c: c.execute(update(chunks).values(values)))


def test_jobs_are_counted_by_state_and_listed_by_age(database: Database, admin: Admin) -> None:
    """The oldest first; one job is shown with its chunks."""
    old, new = submit(database, a_submission(chunks=2), a_submission())[::2]
    take(database, new)

    listed = admin("jobs")
    shown = admin("job", old.job)

    assert listed["counts"]["queued"] == listed["counts"]["running"] == 1
    assert [job["id"] for job in listed["jobs"]] == [old.job, new.job]
    assert [job["id"] for job in admin("jobs", "--state", "running")["jobs"]] == [new.job]
    assert shown["chunks"] == {"pending": 2}
    assert [chunk["seq"] for chunk in shown["unfinished"]] == [0, 1]
    assert old.job in admin("jobs", text=True)
    assert "pending" in admin("job", old.job, text=True)


@pytest.mark.usefixtures("admin")
def test_a_job_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence, by every command that names one."""
    for words in (("job", "x"), ("replay", "--job", "x")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert str(ended.value) == "admin: No job has this id."
    assert capsys.readouterr().out == ""


def test_chunks_that_do_not_get_on_are_listed(database: Database, admin: Admin) -> None:
    """Due long ago, a lease that ran out, and published often; the others are not."""
    submissions = [a_submission() for _ in range(5)]
    due, expired, untaken, running, _ = submit(database, *submissions)
    take(database, expired, lease=-60.0)
    take(database, running, token="b")

    def spoil(connection: Connection) -> None:
        for ref, values in (
            (due, {"next_publish_at": now(-300)}),
            (untaken, {"publishes": 4, "next_publish_at": now(30)}),
        ):
            connection.execute(update(chunks).where(chunks.c.job_id == ref.job).values(values))

    database.write(spoil)

    found = {chunk["job"]: chunk["how"] for chunk in admin("stuck")}

    assert found.keys() == {due.job, expired.job, untaken.job}
    assert "not published" in found[due.job]
    assert "ran out" in found[expired.job]
    assert "not taken" in found[untaken.job]
    assert len(admin("stuck", "--limit", "1")) == 3
    assert due.job not in [chunk["job"] for chunk in admin("stuck", "--late", "10m")]


def test_a_job_is_published_again(database: Database, admin: Admin, queue: MessageQueue) -> None:
    """Those of its chunks that Redis should know; the sweep does not repeat it at once."""
    first, *_ = submit(database, a_submission(chunks=3), a_submission())

    done = admin("replay", "--job", first.job)

    assert done == {"chunks": 2, "messages": {"interactive": 2, "bulk": 0}}
    assert queue.queue_length(Queue.INTERACTIVE) == 2
    later = select(chunks.c.seq).where(
        chunks.c.job_id == first.job, chunks.c.next_publish_at > now(), chunks.c.publishes == 2
    )
    assert sorted(database.read(lambda c: c.scalars(later).all())) == [0, 1]


def test_what_is_due_is_published_now(database: Database, admin: Admin) -> None:
    """With --all also what is not due yet; what is published twice runs once."""
    refs = submit(database, *(a_submission() for _ in range(3)))
    assert admin("replay", "--due")["chunks"] == 0
    change(database, next_publish_at=now(-1))
    assert admin("replay", "--due")["chunks"] == 3

    assert admin("replay", "--all") == {"chunks": 3, "messages": {"interactive": 2, "bulk": 0}}
    assert "3 chunks are published" in admin("replay", "--all", text=True)
    assert len(take(database, *refs)) == 3


def finished(database: Database) -> ChunkRef:
    """Make a job that has finished."""
    (ref,) = submit(database, a_submission())
    outcomes = [answered(chunk) for chunk in take(database, ref)]
    database.write(lambda c: complete(c, outcomes, OUTBOX))
    return ref


def test_old_finished_jobs_are_counted_and_then_erased(database: Database, admin: Admin) -> None:
    """Nothing is erased without --yes, and never what has not finished."""
    old, _ = finished(database), finished(database)
    (waiting,) = submit(database, a_submission())
    ages = {old.job: "0190", waiting.job: "0191"}

    def grow_old(connection: Connection) -> None:
        for job, prefix in ages.items():
            for table, column in ((jobs, jobs.c.id), (chunks, chunks.c.job_id)):
                connection.execute(
                    update(table).where(column == job).values({column: prefix + job[4:]})
                )

    database.write(grow_old)

    assert admin("purge", "--older-than", "30d") == {"jobs": 1, "erased": 0}
    assert admin("purge", "--older-than", "30d", "--state", "failed", "--yes")["erased"] == 0
    assert admin("purge", "--older-than", "30d", "--yes")["erased"] == 1
    assert admin("jobs")["counts"] == dict.fromkeys(JobState, 0) | {"queued": 1, "succeeded": 1}
    assert "There are 0" in admin("purge", "--older-than", "30d", text=True)


def test_keys_are_made_and_listed(admin: Admin) -> None:
    """A key is shown once, and never again."""
    made = admin("keys", "create", "--name", "me", "--queued-rows", "7")
    admin("keys", "rotate", made["id"])
    admin("keys", "revoke", made["id"])

    (listed,) = admin("keys", "list")

    assert made["key"].startswith(f"dbk_{made['id']}_")
    assert (listed["name"], listed["queued_rows"]) == ("me", 7)
    assert listed["revoked_at"] is not None
    assert made["key"] not in admin("keys", "list", text=True)


def test_tables_are_brought_up_to_date(admin: Admin) -> None:
    """And looked at; the doctor sees it too."""
    assert admin("migrate", "check") == {"current": True}
    assert admin("migrate", "downgrade") == {"current": False}
    assert admin("migrate", "check", code=1) == {"current": False}
    found = admin("doctor", code=1)["findings"]
    assert any(finding["what"] == "The tables are not up to date." for finding in found)
    assert admin("migrate") == {"current": True}


def wrong(document: dict[str, Any]) -> list[str]:
    """Name what the doctor found wrong, but how the servers of the tests are set up."""
    return [
        f"{finding['about']}: {finding['what']}"
        for finding in document["findings"]
        if finding["level"] != "ok" and "may lose jobs" not in finding["what"]
    ]


def test_the_doctor_finds_nothing_where_all_is_well(
    database: Database, admin: Admin, queue: MessageQueue
) -> None:
    """On each kind of database, with a sweeper and a worker that have been seen."""
    submit(database, a_submission())
    queue.ping()

    found = admin("doctor", code=0) if _is_durable(database) else admin("doctor", code=1)

    assert wrong(found) == []
    assert {finding["about"] for finding in found["findings"]} == {
        "database", "redis", "artifacts", "clock", "versions", "processes", "consumers",
    }  # fmt: skip


def _is_durable(database: Database) -> bool:
    if database.engine.dialect.name == "sqlite":
        return True
    query = "SELECT @@innodb_flush_log_at_trx_commit = 1 AND (@@log_bin = 0 OR @@sync_binlog = 1)"
    return bool(database.read(lambda c: c.exec_driver_sql(query).scalar_one()))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_doctor_names_what_is_wrong(
    database: Database, admin: Admin, redis_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """No worker, no sweeper, a damaged model, a Redis that forgets: each with its cure."""
    shutil.copytree(MODEL_ROOT, tmp_path / "models")
    model = tmp_path / "models" / "drybeans" / "1" / "model.skops"
    model.write_bytes(model.read_bytes()[:-1])
    monkeypatch.setenv("DRYBEANS_MODEL_ROOT", str(tmp_path / "models"))
    submit(database, a_submission())
    change(database, next_publish_at=now(-timedelta(minutes=5).total_seconds()))

    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = admin("doctor", code=1)
            told = admin("doctor", code=1, text=True)
        finally:
            client.config_set("maxmemory-policy", "noeviction")

    sentences = "\n".join(wrong(found))
    for words in ("truncated", "allkeys-lru", "nobody publishes", "No worker", "No sweeper"):
        assert words in sentences
        assert words in told
    assert all(f["cure"] for f in found["findings"] if f["level"] != "ok")
    assert re.search(r"^\d+ problems? found\.$", told, re.MULTILINE)


def test_every_command_finds_its_rows_by_an_index(database: Database, admin: Admin) -> None:
    """Whoever looks after a full database does not make it slower."""
    fill(database)
    job = finished(database).job
    submit(database, a_submission())

    with recorded() as statements:
        for words in (
            ("jobs",), ("job", job), ("stuck",), ("replay", "--job", job), ("replay", "--due"),
            ("replay", "--all"), ("purge", "--older-than", "1d"),
            ("purge", "--older-than", "1d", "--yes"),
        ):  # fmt: skip
            admin(*words)

    asked = {text: given for text, given in statements.items() if not text.startswith("SHOW")}
    assert database.write(lambda c: read_whole(c, asked)) == []
    # A job is found by its id or in order of its deadline: nothing is sorted to be cut off then.
    for statement, parameters in asked.items():
        if "FROM jobs" in statement and "LIMIT" in statement:
            told = database.write(partial(explained, statement=statement, parameters=parameters))
            assert not re.search("filesort|TEMP B-TREE", told), statement
            if "jobs.id <" in statement:
                assert re.search("PRIMARY|sqlite_autoindex_jobs_1", told), told


def explained(connection: Connection, statement: str, parameters: Any) -> str:
    """Ask the database how it would run `statement`."""
    how = "QUERY PLAN" if connection.dialect.name == "sqlite" else "FORMAT=TRADITIONAL"
    return str(connection.exec_driver_sql(f"EXPLAIN {how} {statement}", parameters).all())


def test_a_job_is_shown_in_words(
    database: Database, admin: Admin, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts of chunks by their state, and a dash for what is not there."""
    first, *_ = submit(database, a_submission(chunks=2))
    take(database, first)
    admin("job", first.job)
    capsys.readouterr()

    with pytest.raises(SystemExit) as ended:
        main(["job", first.job])

    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "chunks: 1 pending, 1 running" in lines
    assert "key: -" in lines
    assert "finished_at: -" in lines
    assert "error: -" in lines
    assert not [line for line in lines if "<" in line or "None" in line]


@pytest.mark.usefixtures("admin")
def test_a_state_that_there_is_not_is_answered_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of every command that takes one."""
    for words, states in (
        (["jobs"], list(JobState)),
        (["purge", "--older-than", "1d"], sorted(TERMINAL)),
    ):
        with pytest.raises(SystemExit):
            main([*words, "--state", "nope"])
        told = capsys.readouterr().err.rpartition("error: ")[2]
        assert told == f"argument --state: 'nope' is not one of {', '.join(states)}\n"
