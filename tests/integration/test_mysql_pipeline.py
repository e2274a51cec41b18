"""Statements that travel to the database together, and are as good as if each had gone alone."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from shared.db.engine import Database
from shared.db.mysql_pipeline import StaleRows, execute_expecting, pipelined
from shared.db.schema import idempotency_keys, inputs, job_labels


def a_key(number: int) -> dict[str, object]:
    """Make a row of a small table."""
    job = f"0190a0b0-0000-7000-8000-{number:012}"
    return {
        "owner": "", "key_hash": f"{number:064}", "fingerprint": None,
        "job_id": job, "created_at": datetime.now(UTC),
    }  # fmt: skip


def keys(connection: Connection) -> int:
    """Count the rows."""
    return connection.execute(select(func.count()).select_from(idempotency_keys)).scalar_one()


def test_what_is_held_is_done_before_the_next_statement(database: Database) -> None:
    """Which sees it, as it would if nothing had been held."""

    def work(connection: Connection) -> int:
        with pipelined(connection):
            connection.execute(insert(idempotency_keys), [a_key(1)])
            connection.execute(insert(idempotency_keys), [a_key(2), a_key(3)])
        return keys(connection)

    assert database.write(work) == 3


def test_what_is_held_last_is_committed(database: Database) -> None:
    """It goes with the COMMIT."""

    def work(connection: Connection) -> None:
        with pipelined(connection):
            connection.execute(insert(idempotency_keys), [a_key(1)])

    database.write(work)

    assert database.read(keys) == 1


def test_a_held_statement_that_fails_undoes_all(database: Database) -> None:
    """It is raised by the COMMIT that it went with, as it would be by itself."""

    def work(connection: Connection) -> None:
        with pipelined(connection):
            connection.execute(insert(idempotency_keys), [a_key(1)])
            connection.execute(insert(idempotency_keys), [a_key(1)])
            connection.execute(insert(idempotency_keys), [a_key(2)])

    with pytest.raises(IntegrityError):
        database.write(work)

    # Nor is it left for the next transaction on the same connection.
    assert database.write(keys) == 0
    assert database.read(keys) == 0


def test_an_error_forgets_what_is_held(database: Database) -> None:
    """The next user of the connection does not send it."""

    def work(connection: Connection) -> None:
        with pipelined(connection):
            connection.execute(insert(idempotency_keys), [a_key(1)])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(work)
    database.write(lambda connection: connection.execute(text("SELECT 1")))

    assert database.read(keys) == 0


@pytest.mark.parametrize("times", [0, 1, 6_000])
def test_bytes_of_any_kind_and_number_arrive(database: Database, times: int) -> None:
    """Also those that would end a statement, and more than is held."""
    body = (b"';%s\x00\\--\n" + bytes(range(256))) * times
    row = {"job_id": "one", "seq": 0, "encoding": "float64", "body": body, "errors": None}

    def work(connection: Connection) -> None:
        with pipelined(connection):
            for seq in range(3):
                connection.execute(insert(inputs), [row | {"seq": seq}])

    database.write(work)

    found = database.read(lambda c: c.scalars(select(inputs.c.body)).all())
    assert found == [body] * 3


def guarded(rows: int, *, hold: bool) -> Callable[[Connection], None]:
    """Make a transaction that renames two rows, which shall be `rows`, and inserts another."""
    rename = update(idempotency_keys).values(owner="new").where(idempotency_keys.c.owner == "")

    def work(connection: Connection) -> None:
        with pipelined(connection) if hold else nullcontext():
            execute_expecting(connection, rename, {}, rows=rows)
            connection.execute(insert(idempotency_keys), [a_key(3)])

    return work


@pytest.mark.parametrize("hold", [True, False])
def test_a_guarded_statement_that_touches_what_it_must_is_committed(
    database: Database, *, hold: bool
) -> None:
    """With what comes after it."""
    database.write(lambda c: c.execute(insert(idempotency_keys), [a_key(1), a_key(2)]))

    database.write(guarded(2, hold=hold))

    assert database.read(keys) == 3


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("hold", [True, False])
def test_a_guarded_statement_that_touches_other_rows_undoes_all(
    database: Database, rows: int, *, hold: bool
) -> None:
    """Fewer or more; and the connection is fit for the next transaction."""
    database.write(lambda c: c.execute(insert(idempotency_keys), [a_key(1), a_key(2)]))

    with pytest.raises(StaleRows):
        database.write(guarded(rows, hold=hold))

    assert database.write(keys) == 2
    owners = select(idempotency_keys.c.owner)
    assert database.read(lambda c: c.scalars(owners).all()) == ["", ""]
    database.write(guarded(2, hold=hold))
    assert database.read(keys) == 3


def test_several_guarded_statements_each_count_their_own_rows(database: Database) -> None:
    """Not those of the statement before."""
    keep = update(idempotency_keys).values(owner=idempotency_keys.c.owner)

    def work(connection: Connection) -> None:
        connection.execute(insert(idempotency_keys), [a_key(1), a_key(2)])
        with pipelined(connection):
            execute_expecting(connection, keep, {}, rows=2)
            connection.execute(insert(idempotency_keys), [a_key(3)])
            none = keep.where(idempotency_keys.c.job_id == "none")
            execute_expecting(connection, none, {}, rows=0)
            execute_expecting(connection, keep, {}, rows=3)

    database.write(work)

    assert database.read(keys) == 3


@pytest.mark.parametrize(
    "value",
    ["'", "\\", "\\'", '"', "%s %(name)s %%", "a\nb\r\t\x1a", "b\u00f6hnchen", "\U0001fad8\u20ac'"],
)
def test_text_arrives_as_it_was_sent(database: Database, value: str) -> None:
    """In a column, in a document, and where something is compared with it."""
    row = {"owner": "", "name": "n", "value": value, "job_id": "j" * 36}
    document = {"job_id": "j" * 36, "seq": 0, "encoding": "float64", "body": b"", "errors": [value]}

    def work(connection: Connection) -> None:
        connection.execute(insert(job_labels), row)
        connection.execute(insert(inputs), document)

    database.write(work)

    found = select(job_labels.c.value).where(job_labels.c.value == value)
    assert database.read(lambda connection: connection.execute(found).one()) == (value,)
    assert database.write(lambda connection: connection.execute(found).one()) == (value,)
    kept = select(inputs.c.errors)
    assert database.read(lambda connection: connection.execute(kept).one()) == ([value],)
