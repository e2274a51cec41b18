"""Row quotas of API keys, which the database enforces for all API processes together."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shared.db.api_keys import queued_rows
from shared.db.engine import Database
from tests.api_process import ApiProcess
from tests.beans import a_csv
from tests.integration.test_api_keys import a_client, add_api_key
from tests.service import Body, Service, in_parts
from tests.working import BEAN

_REQUESTS: Final = 300


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """A service that asks for keys."""
    return start(api_keys=True, chunk_bytes=1000)


@pytest.fixture
def api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[ApiProcess]:
    """Run gunicorn with two processes that ask for keys; no worker runs."""
    settings = {
        "DRYBEANS_DATABASE_URL": database_url,
        "DRYBEANS_REDIS_URL": redis_url,
        "DRYBEANS_API_PROCESSES": "2",
        "DRYBEANS_API_KEYS": "true",
        # Only the quota shall refuse requests, however slow the machine is.
        "DRYBEANS_DATABASE_ANSWER_SECONDS": "60",
    }
    with ApiProcess(tmp_path / "api", settings) as process:
        yield process


async def _submit_at_once(
    url: str, secret: str, bodies: list[dict[str, Any]]
) -> list[httpx.Response]:
    headers = {"Authorization": f"Bearer {secret}"}
    # A connection each, so that both processes accept some.
    limits = httpx.Limits(max_connections=len(bodies), max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, trust_env=False, timeout=300, limits=limits
    ) as client:
        return list(await asyncio.gather(*[client.post("/jobs", **body) for body in bodies]))


@pytest.mark.parametrize("rows, quota", [(1, 50), (7, 50)])
def test_parallel_submissions_to_two_processes_never_exceed_the_quota(
    api: ApiProcess, database: Database, rows: int, quota: int
) -> None:
    """JSON and CSV: as many as fit are accepted, and all others get 429 with Retry-After."""
    key_id, secret = add_api_key(database, queued_rows=quota)
    job = {"json": {"instances": [BEAN] * rows}}
    csv = {"content": a_csv(rows), "headers": {"Content-Type": "text/csv"}}

    responses = asyncio.run(_submit_at_once(api.url, secret, [job, csv] * (_REQUESTS // 2)))

    counts = Counter(
        (response.status_code, response.json().get("code"), "Retry-After" in response.headers)
        for response in responses
    )
    fitting = quota // rows
    assert counts == {
        (202, None, True): fitting,
        (429, "quota_exceeded", True): _REQUESTS - fitting,
    }
    assert database.read(lambda c: queued_rows(c, key_id)) == fitting * rows


def test_a_job_that_does_not_fit_is_refused_and_a_smaller_one_accepted(service: Service) -> None:
    """The response states the quota, what is queued and what was requested."""
    client = a_client(service, queued_rows=5)
    client.open("/jobs", method="POST", json={"instances": [BEAN] * 3})

    refused = client.open("/jobs", method="POST", json={"instances": [BEAN] * 3})

    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    assert refused.get_json()["detail"] == (
        "The row quota of this API key is 5: 3 queued, 3 requested."
    )
    assert client.open("/jobs", method="POST", json={"instances": [BEAN] * 2}).status_code == 202


def test_a_job_larger_than_the_quota_is_too_large(service: Service) -> None:
    """413 without Retry-After, since waiting changes nothing."""
    client = a_client(service, queued_rows=2)

    refused = client.open("/jobs", method="POST", json={"instances": [BEAN] * 3})

    assert (refused.status_code, refused.get_json()["code"]) == (413, "body_too_large")
    assert refused.get_json()["detail"] == (
        "3 rows are more than the 2 that this API key may have queued; send several smaller jobs."
    )
    assert "Retry-After" not in refused.headers


def test_an_upload_that_exceeds_the_quota_fails(service: Service) -> None:
    """429; the job has failed, and its rows do not count any more."""
    client = a_client(service, queued_rows=50)
    headers = {"Content-Type": "text/csv"}
    environment = {"wsgi.input": Body(*in_parts(a_csv(400))), "wsgi.input_terminated": True}

    refused = client.open("/jobs", method="POST", headers=headers, environ_overrides=environment)

    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    (job,) = client.open("/jobs").get_json()["jobs"]
    assert (job["state"], job["error"]["code"]) == ("failed", "quota_exceeded")
    assert service.database.read(lambda c: queued_rows(c, client.id)) == 0


def test_a_retry_counts_towards_the_quota(service: Service) -> None:
    """It is refused while other rows leave no capacity, and makes no job."""
    client = a_client(service, queued_rows=3)
    first = client.open("/jobs", method="POST", json={"instances": [BEAN] * 3}).get_json()["id"]
    client.open(f"/jobs/{first}/cancel", method="POST")
    assert client.submit().status_code == 202

    refused = client.open(f"/jobs/{first}/retry", method="POST")

    assert (refused.status_code, refused.get_json()["code"]) == (429, "quota_exceeded")
    assert refused.get_json()["detail"] == (
        "The row quota of this API key is 3: 1 queued, 3 requested."
    )
    assert len(client.open("/jobs").get_json()["jobs"]) == 2
