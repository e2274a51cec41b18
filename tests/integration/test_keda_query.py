"""KEDA's questions, asked of the real tables on each database."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import yaml
from sqlalchemy import text

from shared.db.engine import Database
from shared.domain.jobs import Queue
from tests.factories import a_submission, submit, take

_KEDA: Final = Path(__file__).parents[2] / "k8s" / "components" / "keda"


def rows_waiting(database: Database, name: str) -> int:
    """Ask what the scaler of the Deployment `name` asks."""
    scaled = yaml.safe_load((_KEDA / f"{name}-scaled-object.yaml").read_text())
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    return int(database.read(lambda c: c.execute(text(query)).scalar_one()))


def test_nothing_waits_in_an_empty_database(database: Database) -> None:
    """A number and not NULL, which KEDA would take for a failure."""
    assert rows_waiting(database, "worker-bulk") == 0


@pytest.mark.parametrize(
    "name, queue", [("worker", Queue.INTERACTIVE), ("worker-bulk", Queue.BULK)]
)
def test_rows_count_until_they_are_finished(database: Database, name: str, queue: Queue) -> None:
    """Those on Redis, those that wait for the window, and those that a worker has in hand."""
    refs = submit(database, a_submission(rows=7, chunks=4, queue=queue))
    other = next(other for other in Queue if other != queue)
    submit(database, a_submission(rows=100, queue=other))
    take(database, refs[0])

    assert rows_waiting(database, name) == 28


def test_rows_whose_worker_died_still_count(database: Database) -> None:
    """Somebody must be there to do them again."""
    refs = submit(database, a_submission(rows=7, queue=Queue.BULK))
    take(database, *refs, lease=timedelta(0).total_seconds())

    assert rows_waiting(database, "worker-bulk") == 7
