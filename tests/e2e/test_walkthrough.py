"""The walkthrough's calls and a crowd of small jobs, over real HTTP to real processes."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.service import Service
from tests.working import BEAN

EXACT = rb'{"predictions": "[\"DERMASON\"]"}'


def predict(client: httpx.Client, **options: object) -> httpx.Response:
    """Send the walkthrough's request."""
    return client.post("/predict", json={"data": json.dumps([BEAN]), **options})


@pytest.mark.parametrize("model", [None, "drybeans@1", "drybeans@2"])
def test_the_walkthroughs_answer_is_the_same_to_the_byte(
    service: Service, model: str | None
) -> None:
    """From the default version, and from each version by name."""
    with service.client() as client:
        answer = predict(client, **({"model": model} if model else {}))

    assert (answer.status_code, answer.content) == (200, EXACT)
    assert answer.headers["Content-Type"] == "application/json"


def test_a_prediction_that_is_not_stored_leaves_no_job(service: Service) -> None:
    """It is answered all the same, and does not show among the jobs."""
    with service.client() as client:
        before = client.get("/jobs").json()["jobs"][:1]
        answer = predict(client, store=False)
        after = client.get("/jobs").json()["jobs"][:1]

    assert answer.content == EXACT
    assert after == before


def test_the_home_page_opens(service: Service) -> None:
    """Where the walkthrough said hello there is a page to try the model on."""
    with service.client() as client:
        answer = client.get("/")

    assert answer.status_code == 200
    assert "drybeans" in answer.text


def test_a_crowd_of_small_jobs_is_answered_each_with_its_own(service: Service) -> None:
    """A hundred jobs from sixteen clients at once: every one finishes, and none is mixed up."""

    def run(number: int) -> tuple[int, dict[str, object]]:
        rows = [BEAN] * (1 + number % 3)
        body = {"instances": rows, "labels": {"number": str(number)}}
        job = client.post("/jobs", json=body, headers={"Prefer": "wait=30"}).json()
        return number, job

    with service.client() as client, ThreadPoolExecutor(16) as pool:
        done = list(pool.map(run, range(100)))

    assert len({job["id"] for _, job in done}) == 100
    for number, job in done:
        assert job["state"] == "succeeded"
        assert job["labels"] == {"number": str(number)}
        expected = [{"row": row, "label": "DERMASON"} for row in range(1 + number % 3)]
        assert job["results"] == expected
