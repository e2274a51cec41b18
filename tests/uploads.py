"""Uploads that become many chunks, and a look at their job from beside them."""

from typing import Any

from sqlalchemy import func, select

from shared.db.schema import inputs, jobs, results
from tests.beans import a_csv
from tests.service import Service, in_parts

MANY = 400
CHUNK = 2000
"""Bytes: a dozen beans."""


def parts(text: str | None = None) -> list[bytes]:
    """Return a CSV, one of `MANY` beans unless said otherwise, in the parts in which it arrives."""
    return in_parts(a_csv(MANY) if text is None else text, each=700)


def the_job(service: Service) -> dict[str, Any]:
    """Read the only job that there is, behind the API."""
    ids = service.database.read(lambda c: c.scalars(select(jobs.c.id)).all())
    assert len(ids) == 1
    return look(service, ids[0])


def look(service: Service, job: str, path: str = "") -> dict[str, Any]:
    """Read a document of a job with a client of its own, also while another request runs."""
    answer = service.client.application.test_client().get(f"/jobs/{job}{path}")
    document: dict[str, Any] = answer.get_json()
    return document


def stored(service: Service, job: str) -> dict[str, int]:
    """Count what the database holds of a job's rows."""
    return {
        table.name: service.database.read(
            lambda c, t=table: c.scalar(
                select(func.count()).select_from(t).where(t.c.job_id == job)
            )
        )
        for table in (inputs, results)
    }
