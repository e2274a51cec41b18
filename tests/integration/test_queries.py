"""What runs on every request and every pass of the sweep finds its rows by an index.

The whole service runs once over a database that is full of finished jobs; every statement it
sends is then explained by the database itself.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, select, text, update

from shared.db.engine import Database
from shared.db.jobs.complete import complete
from shared.db.jobs.submit import insert_group
from shared.db.schema import chunks, jobs, metadata
from shared.db.types import now
from shared.domain.jobs import ChunkState, JobState
from tests.factories import OUTBOX, a_submission, answered, submit, take
from tests.service import Service
from tests.working import BEAN, working
from worker.sweeper.runner import new_sweep

_FINISHED_JOBS = 3000
_READS = ("SELECT", "UPDATE", "DELETE")
# Every key is listed, and there are few.
_SMALL = {"api_keys", "alembic_version"}


@contextmanager
def recorded() -> Iterator[dict[str, Any]]:
    """Record every statement that reads, once, with some parameters of it."""
    seen: dict[str, Any] = {}

    def note(*call: Any) -> None:
        _, _, statement, parameters, _, many = call
        if statement.lstrip().startswith(_READS) and not many:
            seen.setdefault(statement, parameters)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def fill(database: Database) -> None:
    """Store thousands of finished jobs, as a service has after a while."""
    for _ in range(_FINISHED_JOBS // 500):
        group = [a_submission() for _ in range(500)]
        database.write(partial(insert_group, group=group, outbox=OUTBOX))
    database.write(_finish_all)


def _finish_all(connection: Connection) -> None:
    ended = {"state": JobState.SUCCEEDED, "finished_at": now(), "expires_at": now(86400.0)}
    connection.execute(update(jobs).values(ended))
    connection.execute(update(chunks).values(state=ChunkState.DONE, next_publish_at=None))
    # Another key's jobs are most of the table.
    connection.execute(
        update(jobs).where(jobs.c.id.not_in(_some_ids(connection))).values(owner="x")
    )
    _analyze(connection)


def _analyze(connection: Connection) -> None:
    """Let the server count; nobody does that for SQLite, so here nobody does either."""
    if connection.dialect.name != "sqlite":
        for table in metadata.tables:
            connection.execute(text(f"ANALYZE TABLE {table}")).all()


def _some_ids(connection: Connection) -> list[str]:
    return list(connection.scalars(select(jobs.c.id).order_by(jobs.c.id).limit(300)))


def use(service: Service) -> None:
    """Call everything that a client may call, and sweep."""
    client = service.client
    body = {"instances": [BEAN, []], "labels": {"batch": "7"}}
    key = {"Idempotency-Key": "one"}
    with working(service):
        client.post("/jobs", json=body, headers={"Prefer": "wait=10"} | key)
        client.post("/jobs", json=body, headers=key)
        client.post("/predict", json={"data": [BEAN], "store": False})
    waiting = [client.post("/jobs", json=body).get_json()["links"]["self"] for _ in range(3)]
    done = service.job(service.submit(_csv())) and service.finish(service.submit(_csv()))
    path = done["links"]["self"]
    for query in ("", "?format=csv&include=input", "?format=ndjson", "?limit=1&offset=1"):
        assert client.get(f"{path}/results{query}").status_code == 200
    assert client.get(f"{path}/errors").status_code == 200
    for query in ("", "?state=succeeded", "?label.batch=7", "?page_size=1"):
        assert client.get(f"/jobs{query}").status_code == 200
    client.post(f"{waiting[0]}/cancel")
    client.post(f"{waiting[0]}/retry")
    client.delete(path)
    sweep = new_sweep(service.settings)
    sweep()
    sweep()
    sweep.database.close()


def _csv() -> str:
    head = "Area,Perimeter,MajorAxisLength,MinorAxisLength,AspectRation,Eccentricity,ConvexArea,"
    head += "EquivDiameter,Extent,Solidity,roundness,Compactness,"
    head += "ShapeFactor1,ShapeFactor2,ShapeFactor3,ShapeFactor4"
    return f"{head}\n{','.join(map(str, BEAN))}\n"


def read_whole(connection: Connection, statements: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Ask the database how it would run `statements`; give each table that it would read whole."""
    return [
        (table, statement)
        for statement, parameters in statements.items()
        for table in _scanned(connection, statement, parameters)
        if table in metadata.tables and table not in _SMALL
    ]


def _scanned(connection: Connection, statement: str, parameters: Any) -> list[str]:
    if connection.dialect.name == "sqlite":
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        details = [row.detail.split() for row in steps]
        return [words[1] for words in details if words[0] == "SCAN"]
    steps = connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters)
    # A walk along an index that ends at its LIMIT reads few rows, and says so.
    return [
        str(row.table)
        for row in steps
        if row.type in {"ALL", "index"} and int(row.rows) > _FINISHED_JOBS / 2
    ]


def test_every_query_finds_its_rows_by_an_index(service: Service) -> None:
    """None reads a table whole, however many jobs the database keeps."""
    fill(service.database)
    with recorded() as statements:
        use(service)

    assert len(statements) > 30
    explain = partial(read_whole, statements=statements)
    assert service.database.write(explain) == []


def _indexes(connection: Connection, statements: Mapping[str, Any]) -> set[str]:
    """Name the indexes by which `statements` find rows of `chunks`."""
    found = set()
    for statement, parameters in statements.items():
        if connection.dialect.name == "sqlite":
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            words = [row.detail.split() for row in steps]
            found |= {w[w.index("INDEX") + 1] for w in words if w[1] == "chunks" and "INDEX" in w}
        else:
            explained = f"EXPLAIN FORMAT=TRADITIONAL {statement}"
            steps = connection.exec_driver_sql(explained, parameters)
            found |= {row.key for row in steps if row.table == "chunks"}
    return found


@pytest.mark.parametrize("count", [1, 100])
def test_a_batch_finds_its_chunks_by_key_in_a_long_backlog(database: Database, count: int) -> None:
    """What a claim costs does not depend on how many chunks wait."""
    refs = [
        ref for _ in range(6) for ref in submit(database, *(a_submission() for _ in range(500)))
    ]
    database.write(_analyze)

    with recorded() as statements:
        claimed = take(database, *refs[1000 : 1000 + count])
        outcomes = [answered(chunk) for chunk in claimed]
        for _ in range(2):
            database.write(partial(complete, outcomes=outcomes, outbox=OUTBOX))

    used = database.write(partial(_indexes, statements=statements))
    assert len(claimed) == count
    assert used == {"sqlite_autoindex_chunks_1" if _is_sqlite(database) else "PRIMARY"}


def _is_sqlite(database: Database) -> bool:
    return database.engine.dialect.name == "sqlite"
