"""Jobs over HTTP: submitted as JSON, polled, and their results read in pages."""

from collections.abc import Mapping
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from tests.service import Service
from tests.working import BEAN
from worker.models.loader import ModelLoader


def submit(
    service: Service, *rows: object, headers: Mapping[str, str] | None = None, **options: Any
) -> TestResponse:
    """POST a job of `rows`, one bean when none are given."""
    document = {"instances": list(rows) or [BEAN], **options}
    return service.client.post("/jobs", json=document, headers=dict(headers or {}))


def accepted(service: Service, *rows: object, **options: Any) -> dict[str, Any]:
    """Submit a job that is accepted and give its document."""
    answer = submit(service, *rows, **options)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def finished(service: Service, *rows: object, **options: Any) -> dict[str, Any]:
    """Submit a job, run it to its end and give its document."""
    return service.finish(accepted(service, *rows, **options)["id"])


def results(service: Service, job: Mapping[str, Any], query: str = "") -> list[dict[str, Any]]:
    """Read a page of a job's results."""
    answer = service.client.get(f"{job['links']['results']}{query}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.get_json()["results"]
    return rows


def test_a_job_is_accepted_with_its_address(service: Service) -> None:
    """202, Location, Retry-After, and the job as it stands."""
    answer = submit(service)

    job = answer.get_json()
    assert answer.status_code == 202
    assert answer.content_type == "application/json"
    assert answer.headers["Location"] == f"/jobs/{job['id']}" == job["links"]["self"]
    assert answer.headers["Retry-After"] == "1"
    assert UUID(job["id"]).version == 7
    assert (job["state"], job["progress"]) == ("queued", 0)
    assert job["rows"] == {"total": 1, "succeeded": 0, "failed": 0}
    assert (job["model"]["name"], job["model"]["version"]) == ("drybeans", 2)


def test_an_accepted_job_is_in_the_database_before_it_is_answered(service: Service) -> None:
    """202 means committed: the job can be read at once, whatever becomes of this process."""
    job = accepted(service)

    assert service.job(job["id"])["state"] == "queued"


def test_a_bean_gets_its_label(service: Service) -> None:
    """Submit, work, look: the main job, end to end."""
    job = finished(service)

    assert (job["state"], job["progress"]) == ("succeeded", 1)
    assert job["rows"] == {"total": 1, "succeeded": 1, "failed": 0}
    assert job["summary"]["counts"] == {"DERMASON": 1}
    assert results(service, job) == [{"row": 0, "label": "DERMASON"}]


def test_a_job_tells_its_times(service: Service) -> None:
    """In UTC, each after the one before, and when it will be erased."""
    job = finished(service, retention_seconds=60)

    moments = [job[name] for name in ("created_at", "started_at", "finished_at", "expires_at")]
    assert moments == sorted(moments)
    assert all(moment.endswith("Z") for moment in moments)


@pytest.mark.parametrize("version", [1, 2])
def test_a_job_runs_on_the_version_it_asks_for(service: Service, version: int) -> None:
    """And says which it was."""
    job = finished(service, model=f"drybeans@{version}")

    assert (job["state"], job["model"]["version"]) == ("succeeded", version)
    assert results(service, job)[0]["label"] == "DERMASON"


def test_a_row_may_come_as_an_object_by_feature_name(service: Service) -> None:
    """In any order, also by the names that the data set has been published with elsewhere."""
    names = [
        *("Area", "Perimeter", "MajorAxisLength", "MinorAxisLength", "AspectRatio"),
        *("Eccentricity", "ConvexArea", "EquivDiameter", "Extent", "Solidity", "roundness"),
        *("Compactness", "ShapeFactor1", "ShapeFactor2", "ShapeFactor3", "ShapeFactor4"),
    ]
    row = dict(reversed(list(zip(names, BEAN, strict=True))))

    assert results(service, finished(service, row)) == [{"row": 0, "label": "DERMASON"}]


def test_probabilities_come_when_asked_for(service: Service) -> None:
    """One for each class; they add up to one, and the label is the most probable class."""
    (row,) = results(service, finished(service, outputs=["label", "probabilities"]))

    chances = row["probabilities"]
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    assert max(chances, key=chances.__getitem__) == row["label"] == "DERMASON"
    assert list(chances) == [*("BARBUNYA", "BOMBAY", "CALI", "DERMASON", "HOROZ", "SEKER", "SIRA")]


def test_a_job_keeps_its_clients_labels(service: Service) -> None:
    """Whatever pairs of text the client gave come back with the job."""
    job = accepted(service, labels={"batch": "7", "Straße": "ß"})

    assert service.job(job["id"])["labels"] == {"batch": "7", "Straße": "ß"}


def test_bad_rows_do_not_fail_their_job(service: Service) -> None:
    """The job ends partial; each bad row says in its place what is wrong with it."""
    far = [BEAN[0], -1e308, *BEAN[2:]]
    job = finished(service, BEAN, BEAN[:15], [*BEAN[:3], "x", *BEAN[4:]], far, BEAN)

    assert job["state"] == "partial"
    assert job["rows"] == {"total": 5, "succeeded": 2, "failed": 3}
    rows = results(service, job)
    assert [row.get("label") for row in rows] == ["DERMASON", None, None, None, "DERMASON"]
    assert [(row["error"]["code"], row["error"]["field"]) for row in rows[1:4]] == [
        ("too_few_fields", None),
        ("not_a_number", "3"),
        ("not_predictable", None),
    ]


def test_a_job_of_which_every_row_fails_is_failed(service: Service) -> None:
    """All its rows could be read, and none of them predicted."""
    job = finished(service, [BEAN[0], -1e308, *BEAN[2:]])

    assert (job["state"], job["rows"]["failed"]) == ("failed", 1)
    assert results(service, job)[0]["error"]["code"] == "not_predictable"


def test_results_are_read_in_pages(service: Service) -> None:
    """Each page links to the next; together they hold every row once, in order."""
    job = finished(service, *([BEAN] * 25))

    pages = []
    link = f"{job['links']['results']}?limit=10"
    while link:
        page = service.client.get(link).get_json()
        assert page["total"] == 25
        pages.append([row["row"] for row in page["results"]])
        link = page["next"]

    assert [len(page) for page in pages] == [10, 10, 5]
    assert list(chain(*pages)) == list(range(25))


@pytest.mark.parametrize(
    "query, rows",
    [
        ("?offset=3&limit=2", [3, 4]),
        ("?offset=24", [24]),
        ("?offset=25", []),
        ("?offset=9007199254740992", []),
    ],
)
def test_a_page_begins_where_it_is_asked_to(service: Service, query: str, rows: list[int]) -> None:
    """Past the end there is nothing."""
    job = finished(service, *([BEAN] * 25))

    assert [row["row"] for row in results(service, job, query)] == rows


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=10001", "limit=x", "limit=-1", "offset=-1", "offset=1.5", "limit=٣"],
)
def test_a_page_that_cannot_be_is_refused(service: Service, query: str) -> None:
    """The sentence says what there may be."""
    job = finished(service)

    answer = service.client.get(f"{job['links']['results']}?{query}")

    assert (answer.status_code, answer.get_json()["code"]) == (422, "request_invalid")
    assert answer.get_json()["errors"][0]["pointer"] == f"/{query.partition(chr(61))[0]}"


def test_results_of_an_unfinished_job_are_not_there_yet(service: Service) -> None:
    """409, when to ask again, and how to get what there is so far."""
    job = accepted(service)

    answer = service.client.get(job["links"]["results"])

    assert (answer.status_code, answer.get_json()["code"]) == (409, "job_unfinished")
    assert answer.headers["Retry-After"] == "1"
    assert results(service, job, "?partial=true") == []


def test_a_large_job_is_cut_into_chunks_and_comes_back_whole(
    database_url: str, redis_url: str, models: ModelLoader
) -> None:
    """Rows keep their order and their errors their places across chunks."""
    service = Service(database_url, redis_url, models=models, chunk_rows=10)
    rows = [BEAN if n % 7 else [n] for n in range(35)]

    job = finished(service, *rows)

    labels = [row.get("label") for row in results(service, job)]
    assert labels == ["DERMASON" if n % 7 else None for n in range(35)]
    assert job["rows"] == {"total": 35, "succeeded": 30, "failed": 5}
    assert [r["row"] for r in results(service, job, "?offset=8&limit=4")] == [8, 9, 10, 11]
    service.stop()


@pytest.mark.parametrize(
    "name", ["0190a0b0-0000-7000-8000-000000000000", "nonsense", "1", "%00", "..%2Fetc"]
)
def test_what_names_no_job_is_not_found(service: Service, name: str) -> None:
    """An id that nobody has, and what is no id at all."""
    for path in (f"/jobs/{name}", f"/jobs/{name}/results"):
        answer = service.client.get(path)

        assert answer.status_code == 404
        assert answer.get_json()["code"] in {"job_not_found", "not_found"}


def test_every_answer_repeats_the_clients_request_id(service: Service) -> None:
    """Answers and refusals alike, so that a client can find its call in our logs."""
    for path in ("/healthz", "/nowhere"):
        answer = service.client.get(path, headers={"X-Request-ID": "my-id_1"})

        assert answer.headers["X-Request-ID"] == "my-id_1"


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "é"])
def test_an_unfit_request_id_is_replaced(service: Service, given: str) -> None:
    """Nothing a client writes can break a log line or a header."""
    answer = service.client.get("/healthz", headers={"X-Request-ID": given} if given else {})

    assert UUID(answer.headers["X-Request-ID"]).version == 7
