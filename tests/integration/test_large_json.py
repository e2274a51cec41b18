"""Large JSON jobs full of mistakes: others are served meanwhile."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api_process import ApiProcess

ROWS = 100_000


@pytest.fixture
def api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[ApiProcess]:
    """One real API process."""
    settings = {"DRYBEANS_DATABASE_URL": database_url, "DRYBEANS_REDIS_URL": redis_url}
    process = ApiProcess(tmp_path / "api", settings)
    process.start()
    yield process
    process.stop()


@pytest.mark.parametrize("query", ["", "?validate_only=true"], ids=["job", "report"])
@pytest.mark.parametrize(
    "bad", [[0.5] * 15, {"Area": 1.5, "no feature": 2}], ids=["short rows", "unknown names"]
)
def test_health_is_told_while_large_jobs_of_bad_rows_are_checked(
    api: ApiProcess, query: str, bad: object
) -> None:
    """Two at once: the process is asked again and again before the first of them is answered."""
    body = json.dumps({"instances": [*([bad] * (ROWS - 1)), [0.5] * 16]}).encode()
    answers: list[httpx.Response] = []

    def send() -> None:
        kind = {"Content-Type": "application/json"}
        answers.append(
            httpx.post(f"{api.url}/jobs{query}", content=body, headers=kind, timeout=600)
        )

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    healthy = 0
    while any(sender.is_alive() for sender in senders):
        healthy += httpx.get(f"{api.url}/healthz", timeout=600).status_code == 200
    for sender in senders:
        sender.join()

    # Each is read in one go, and its rows in some hundred.
    assert healthy > 10
    for answer in answers:
        assert answer.status_code == (200 if query else 202), answer.text
        rows = answer.json()["rows"]
        assert (rows if query else rows["total"]) == ROWS
