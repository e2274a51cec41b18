"""Deleted jobs: gone at once, and their data in small steps, whatever they are."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, text

from shared.db.engine import Database
from shared.db.schema import chunks, inputs, jobs, purges, results
from shared.db.sweeps.prune import PurgeLimits, delete_expired, purge_chunks, soft_delete
from shared.domain.jobs import ChunkState, JobId, JobState
from tests.factories import a_submission, purge_all, submit
from tests.service import Service
from worker.sweeper.runner import new_sweep

Start = Callable[..., Service]
MANY = 400
BODY = 100_000


def a_finished_job(
    database: Database, *, parts: int, body: int = 10, retention: timedelta = timedelta(days=1)
) -> JobId:
    """Store a job that succeeded with `parts` chunks, each with an input of `body` bytes."""
    job = a_submission(chunks=1, retention=retention)
    submit(database, job)
    rows = range(1, parts)

    def fill(connection: Any) -> None:
        for table in (chunks, inputs):
            first = connection.execute(select(table).where(table.c.job_id == job.id)).one()
            copies = [dict(zip(table.c.keys(), first, strict=True), seq=seq) for seq in rows]
            if copies:
                connection.execute(insert(table), copies)
        found = inputs.c.job_id == job.id
        connection.execute(inputs.update().where(found).values(body=bytes(body)))
        one = {"fence": 1, "first_row": 0, "row_count": 1, "first_line": 0, "labels": ["SIRA"]}
        of_job = {"job_id": job.id, "model_version": "drybeans@2"}
        connection.execute(insert(results), [one | of_job | {"seq": n} for n in range(parts)])
        done = chunks.update().where(chunks.c.job_id == job.id).values(state=ChunkState.DONE)
        connection.execute(done)
        ended = {"state": JobState.SUCCEEDED, "chunks_total": parts, "rows_succeeded": parts}
        connection.execute(jobs.update().where(jobs.c.id == job.id).values(ended))

    database.write(fill)
    return job.id


def count(database: Database, job: JobId) -> list[int]:
    """Count the chunks, inputs and results of a job."""
    queries = [
        select(func.count()).select_from(table).where(table.c.job_id == job)
        for table in (chunks, inputs, results)
    ]
    return database.read(lambda c: [c.scalar(query) or 0 for query in queries])


def test_a_large_job_is_gone_at_once_and_its_data_is_not_touched(
    database: Database, start: Start
) -> None:
    """However many chunks it has, DELETE changes a few small rows; 410 on every address."""
    service = start()
    job = a_finished_job(database, parts=MANY, body=BODY)
    statements: list[str] = []
    engine = service.services.database.engine
    event.listen(engine, "before_cursor_execute", lambda *words: statements.append(words[2]))

    answer = service.client.delete(f"/jobs/{job}")

    assert answer.status_code == 204
    large = ("results", "inputs", "chunks")
    assert [s for s in statements if any(f" {name} " in f"{s} " for name in large)] == []
    assert count(database, job) == [MANY, MANY, MANY]
    for path in ("", "/results", "/errors", "/events"):
        assert service.client.get(f"/jobs/{job}{path}").status_code == 410, path
    assert service.client.get("/jobs").get_json()["jobs"] == []


def test_sql_finds_no_label_of_a_deleted_job(database: Database) -> None:
    """The view hides what is still to be purged."""
    kept, deleted = a_finished_job(database, parts=1), a_finished_job(database, parts=3)

    assert database.write(lambda c: soft_delete(c, deleted))

    found = database.read(lambda c: c.scalars(text("SELECT job_id FROM predictions")).all())
    assert found == [kept]


def test_a_job_is_deleted_once_however_often_it_is_asked_for(database: Database) -> None:
    """A transaction whose answer was lost is run again; a purge that was done is done."""
    job = a_finished_job(database, parts=2)

    assert database.write(lambda c: soft_delete(c, job))
    assert database.write(lambda c: soft_delete(c, job))
    first = database.read(lambda c: c.scalar(select(jobs.c.deleted_at)))
    purge_all(database)
    assert database.write(lambda c: soft_delete(c, job))
    purge_all(database)

    assert first is not None
    assert database.read(lambda c: c.scalar(select(jobs.c.deleted_at))) == first
    assert database.read(lambda c: c.execute(select(purges)).all()) == []


@pytest.mark.parametrize(
    "limits, most",
    [
        (PurgeLimits(chunks=7), 7),
        (PurgeLimits(), 8),
        (PurgeLimits(bytes=3 * BODY + 10_000), 3),
        (PurgeLimits(bytes=1), 1),
    ],
    ids=["chunks", "turns", "bytes", "one chunk is too large"],
)
def test_data_is_purged_in_steps_bounded_by_chunks_and_bytes(
    database: Database, limits: PurgeLimits, most: int
) -> None:
    """Each step is a transaction of its own, and the last one leaves nothing."""
    job = a_finished_job(database, parts=20, body=BODY)
    database.write(lambda c: soft_delete(c, job))
    steps = []

    while (purged := database.write(lambda c: purge_chunks(c, limits))).chunks:
        steps.append(purged.chunks)
        left = 20 - sum(steps)
        assert count(database, job) == [left, left, left]

    assert max(steps) == most
    assert sum(steps) == 20
    assert database.read(lambda c: c.execute(select(purges)).all()) == []


def test_a_huge_job_holds_up_no_other_purge(database: Database) -> None:
    """Jobs take turns, also one that was deleted long after it."""
    huge = a_finished_job(database, parts=MANY)
    small = [a_finished_job(database, parts=1) for _ in range(3)]
    for job in (huge, *small):
        database.write(partial(soft_delete, job=job))
    limits = PurgeLimits(chunks=5)

    for _ in range(4):
        database.write(lambda c: purge_chunks(c, limits))

    assert [count(database, job) for job in small] == [[0, 0, 0]] * 3
    assert count(database, huge)[0] > 0


def test_retention_removes_a_huge_job_at_once_and_its_data_in_steps(database: Database) -> None:
    """Younger ones behind it are removed by the same step; nothing stays in the end."""
    huge = a_finished_job(database, parts=MANY, retention=timedelta(0))
    others = [a_finished_job(database, parts=1, retention=timedelta(0)) for _ in range(3)]
    kept = a_finished_job(database, parts=1)
    old = jobs.update().where(jobs.c.id != kept).values(expires_at=text("'2020-01-01'"))
    database.write(lambda c: c.execute(old))

    assert database.write(lambda c: delete_expired(c, 10)) == 4

    assert database.read(lambda c: c.scalars(select(jobs.c.id)).all()) == [kept]
    assert count(database, huge) == [MANY, MANY, MANY]
    purge_all(database)
    assert [count(database, job) for job in (huge, *others)] == [[0, 0, 0]] * 4
    assert count(database, kept) == [1, 1, 1]


def test_the_sweep_purges_what_clients_delete(service: Service) -> None:
    """And goes on soon while there is more."""
    job = a_finished_job(service.database, parts=25)
    service.client.delete(f"/jobs/{job}")
    sweep = new_sweep(service.settings)

    while sweep():
        pass
    sweep.database.close()

    assert count(service.database, job) == [0, 0, 0]
    assert service.client.get(f"/jobs/{job}").status_code == 410
