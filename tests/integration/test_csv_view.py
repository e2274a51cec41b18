"""The view `predictions`, and the queries that its documentation shows."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text

from tests.beans import a_csv, bean_labels, beans, names, written
from tests.service import Body, Service, break_off, in_parts

Start = Callable[..., Service]
DOCUMENT: Final = Path(__file__).parent.parent.parent / "docs" / "sql.md"
QUERIES: Final = re.findall(r"```sql\n(.*?);\n```", DOCUMENT.read_text(), re.DOTALL)
_ID: Final = re.compile(r"'([0-9a-f]{8}-[0-9a-f-]{27})'")


def query(service: Service, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as a person would, and give its rows."""
    found = service.database.read(lambda c: c.execute(text(statement)).all())
    return [tuple(row) for row in found]


def about(statement: str, *jobs: Mapping[str, Any]) -> str:
    """Put the ids of `jobs` in the place of those in the documentation."""
    ids = iter([job["id"] for job in jobs])
    known: dict[str, str] = {}
    return _ID.sub(lambda found: f"'{known.setdefault(found[1], next(ids, ''))}'", statement)


def test_the_view_has_a_row_for_each_label(start: Start) -> None:
    """With its job, its number in the job, its model and its time; failed rows are not in it."""
    service = start(chunk_bytes=2000)
    rows = [["", *row[1:]] if at in {3, 40} else row for at, row in enumerate(beans(60))]
    job = service.run_csv(Body(*in_parts(written([names(), *rows]))))

    found = query(service, "SELECT * FROM predictions p ORDER BY p.row")

    labels = bean_labels(60)
    assert [row[:4] for row in found] == [
        (job["id"], at, labels[at], "drybeans@2") for at in range(60) if at not in {3, 40}
    ]
    times = {datetime.fromisoformat(str(row[4])).replace(tzinfo=UTC) for row in found}
    assert all(abs(datetime.now(UTC) - moment) < timedelta(minutes=5) for moment in times)


def test_the_documentation_shows_three_queries() -> None:
    """Each of them is run by a test here."""
    assert len(QUERIES) == 3


def test_the_kinds_of_a_job_are_counted(service: Service) -> None:
    """The first query, in the presence of another job."""
    service.run_csv(a_csv(5))
    job = service.run_csv(a_csv(23))

    counted = query(service, about(QUERIES[0], job))

    assert dict(counted) == Counter(bean_labels(23))
    assert [row[1] for row in counted] == sorted((row[1] for row in counted), reverse=True)


def test_days_models_and_labels_are_counted(service: Service) -> None:
    """The second query, over all jobs."""
    one = service.run_csv(a_csv(7), "?model=drybeans@1")
    two = service.run_csv(a_csv(14), "?model=drybeans@2")

    counted = query(service, QUERIES[1])

    expected = Counter[tuple[str, str]]()
    for job, version in ((one, "drybeans@1"), (two, "drybeans@2")):
        expected.update((version, label) for label in service.labels(job) if label)
    assert {row[1:3]: row[3] for row in counted} == expected
    today = datetime.now(UTC).date()
    assert {str(row[0]) for row in counted} <= {str(today), str(today - timedelta(days=1))}


def test_rows_on_which_two_models_disagree_are_found(service: Service) -> None:
    """The third query; beans halfway between two golden ones are not agreed upon."""
    golden = [[float(cell) for cell in row] for row in beans(35)]
    halves = [
        [repr((a + b) / 2) for a, b in zip(one, two, strict=True)]
        for at, one in enumerate(golden)
        for two in golden[at + 1 :]
    ]
    csv = written([names(), *halves])
    one = service.run_csv(csv, "?model=drybeans@1")
    two = service.run_csv(csv, "?model=drybeans@2")

    found = query(service, about(QUERIES[2], one, two))

    labels = zip(service.labels(one), service.labels(two), strict=True)
    expected = [(at, first, second) for at, (first, second) in enumerate(labels) if first != second]
    assert found == expected
    assert len(expected) > 1


@pytest.mark.parametrize("how", ["deleted", "broken off"])
def test_what_is_erased_is_not_in_the_view(start: Start, how: str) -> None:
    """A deleted job, and an upload that came to nothing."""
    service = start(chunk_bytes=2000)
    if how == "deleted":
        job = service.run_csv(a_csv())
        assert service.client.delete(f"/jobs/{job['id']}").status_code == 204
    else:
        answer = service.post("/jobs", Body(*in_parts(a_csv(100)), service.work, break_off))
        assert answer.get_json()["code"] == "upload_incomplete"

    assert query(service, "SELECT * FROM predictions") == []
