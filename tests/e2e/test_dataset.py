"""The real data set through the running service: every label is scikit-learn's own."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import pandas as pd
import pytest

from tests.e2e.service import Service
from tests.service import MODEL_ROOT
from worker.models.artifacts import load

pytestmark = [pytest.mark.dataset, pytest.mark.slow]

_ROWS: Final = 13_611
_AT_ONCE: Final = 1000


@pytest.fixture(scope="module")
def beans(dataset: Path) -> list[list[float]]:
    """The measurements of all beans."""
    rows: list[list[float]] = pd.read_csv(dataset).iloc[:, :16].astype(float).to_numpy().tolist()
    assert len(rows) == _ROWS
    return rows


@pytest.fixture(scope="module", params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    """Each version of the model."""
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def expected(beans: list[list[float]], version: int) -> list[str]:
    """What scikit-learn says of all beans with the artifact of `version`."""
    estimator = load(MODEL_ROOT / "drybeans" / str(version)).estimator
    return [str(label) for label in estimator.predict(beans)]


def labels_of(client: httpx.Client, rows: Sequence[Sequence[float]], version: int) -> list[str]:
    """Submit `rows`, wait for the job, and read all its labels page by page."""
    body = {"model": f"drybeans@{version}", "instances": rows}
    job = client.post("/jobs", json=body).raise_for_status().json()
    while job["finished_at"] is None:
        job = client.get(job["links"]["self"], headers={"Prefer": "wait=30"}).json()
    assert job["state"] == "succeeded", job
    return [row["label"] for row in _pages(client, f"{job['links']['results']}?limit=10000")]


def _pages(client: httpx.Client, link: str | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while link:
        page = client.get(link).raise_for_status().json()
        rows += page["results"]
        link = page["next"]
    return rows


def test_all_beans_as_one_job_have_the_labels_of_scikit_learn(
    service: Service, beans: list[list[float]], expected: list[str], version: int
) -> None:
    """13,611 rows in one request, cut into chunks, label for label and in order."""
    with service.client() as client:
        labels = labels_of(client, beans, version)

    assert labels == expected


def test_all_beans_as_many_jobs_have_the_labels_of_scikit_learn(
    service: Service, beans: list[list[float]], expected: list[str], version: int
) -> None:
    """The same rows as jobs of a thousand, from four clients at once."""
    parts = [beans[at : at + _AT_ONCE] for at in range(0, _ROWS, _AT_ONCE)]

    with service.client() as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda part: labels_of(client, part, version), parts))

    assert [label for answer in answers for label in answer] == expected


def test_beans_one_by_one_have_the_labels_of_scikit_learn(
    service: Service, beans: list[list[float]], expected: list[str], version: int
) -> None:
    """Every fiftieth row as a job of its own, in batches as they come together."""
    chosen = range(0, _ROWS, 50)

    with service.client() as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda at: labels_of(client, [beans[at]], version), chosen))

    assert answers == [[expected[at]] for at in chosen]
