"""Results of a CSV in every form, its failed rows to mend, and what its summary says."""

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.beans import a_csv, bean_labels, beans, default_model, names, written
from tests.service import Body, Service, in_parts

Start = Callable[..., Service]
CHUNK = 2000


def results(service: Service, job: Any, query: str = "", accept: str | None = None) -> TestResponse:
    """Ask for a job's results."""
    headers = {"Accept": accept} if accept else {}
    return service.client.get(f"{job['links']['results']}{query}", headers=headers)


def table(text: str) -> list[dict[str, str]]:
    """Read a CSV with a header."""
    return list(csv.DictReader(StringIO(text, newline="")))


def test_results_come_as_pages_of_json(start: Start) -> None:
    """Each names the next until there is none; a page may reach over chunks."""
    service = start(chunk_bytes=CHUNK)
    job = service.run_csv(Body(*in_parts(a_csv(100))))
    found: list[dict[str, Any]] = []
    pages = []

    following = f"/jobs/{job['id']}/results?limit=30"
    while following:
        page = service.client.get(following).get_json()
        pages.append(len(page["results"]))
        assert page["total"] == 100
        found += page["results"]
        following = page["next"]

    assert pages == [30, 30, 30, 10]
    assert [row["row"] for row in found] == list(range(100))
    assert [row["label"] for row in found] == bean_labels(100)


def test_a_link_to_the_next_page_keeps_what_was_asked_for(service: Service) -> None:
    """Input, format and partial; a client follows it as it is."""
    job = service.run_csv(a_csv())

    first = results(service, job, "?limit=20&include=input&format=json&partial=true").get_json()
    second = service.client.get(first["next"], headers={"Accept": "text/csv"}).get_json()

    assert [row["row"] for row in second["results"]] == [20]
    assert second["results"][0]["input"] == dict(zip(names(), beans()[20], strict=True))


@pytest.mark.parametrize(
    "query, pointer",
    [
        ("?limit=0", "limit"),
        ("?limit=10001", "limit"),
        ("?limit=ten", "limit"),
        ("?offset=-1", "offset"),
        ("?format=xml", "format"),
        ("?include=output", "include"),
    ],
)
def test_what_cannot_be_asked_of_results_is_refused(
    service: Service, query: str, pointer: str
) -> None:
    """With 422 and the name of the parameter."""
    answer = results(service, service.run_csv(a_csv(1)), query)

    assert answer.status_code == 422
    assert pointer in answer.get_json()["detail"]


def test_results_come_as_ndjson(start: Start) -> None:
    """One object a line, in the order of the input, as a file to save."""
    service = start(chunk_bytes=CHUNK)
    job = service.run_csv(Body(*in_parts(a_csv(100))))

    answer = results(service, job, accept="application/x-ndjson")

    assert answer.content_type == "application/x-ndjson"
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="{job["id"]}-results.ndjson"'
    )
    assert [row["line"] for row in service.rows(job)] == list(range(2, 102))
    assert service.labels(job) == bean_labels(100)


def test_results_come_as_csv(start: Start) -> None:
    """In the order of the input, as a file that a spreadsheet opens."""
    service = start(chunk_bytes=CHUNK)
    job = service.run_csv(Body(*in_parts(a_csv(100))))

    answer = results(service, job, "?format=csv")

    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="{job["id"]}-results.csv"'
    )
    rows = table(answer.text)
    assert list(rows[0]) == ["row", "line", "label", "error"]
    assert [(row["row"], row["line"], row["label"]) for row in rows] == [
        (str(at), str(at + 2), label) for at, label in enumerate(bean_labels(100))
    ]


@pytest.mark.parametrize(
    "accept, kind",
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/csv, application/json;q=0.5", "text/csv; charset=utf-8"),
        ("application/x-ndjson;q=0.1", "application/x-ndjson"),
        ("text/html, text/*;q=0.8", "text/csv; charset=utf-8"),
    ],
)
def test_the_form_follows_what_the_client_accepts(service: Service, accept: str, kind: str) -> None:
    """By its own order of preference; JSON when all are alike to it."""
    answer = results(service, service.run_csv(a_csv(1)), accept=accept)

    assert (answer.status_code, answer.content_type) == (200, kind)


def test_a_form_that_there_is_not_is_refused(service: Service) -> None:
    """406, with those that there are; `?format=` is worth more than the header."""
    job = service.run_csv(a_csv(1))

    answer = results(service, job, accept="application/pdf")

    assert answer.status_code == 406
    assert "application/json, application/x-ndjson, text/csv" in answer.get_json()["detail"]
    assert results(service, job, "?format=csv", "application/pdf").status_code == 200


@pytest.mark.parametrize("path", ["results", "errors"])
def test_results_of_an_unfinished_job_are_not_there_yet(service: Service, path: str) -> None:
    """409 and when to ask again; never half of them without a word."""
    job = service.job(service.submit(a_csv()))

    answer = service.client.get(f"/jobs/{job['id']}/{path}")

    assert (answer.status_code, answer.get_json()["code"]) == (409, "job_unfinished")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_what_is_there_of_an_unfinished_job_can_be_had(start: Start, form: str) -> None:
    """With `?partial=true`: the rows of the chunks that are finished, under their own numbers."""
    service = start(chunk_bytes=CHUNK, window_chunks=1)
    job = service.job(service.submit(Body(*in_parts(a_csv(100)))))
    service.work_until(lambda: service.job(job["id"])["rows"]["succeeded"] > 0)
    done = service.job(job["id"])["rows"]["succeeded"]

    answer = results(service, job, f"?partial=true&format={form}")

    assert answer.status_code == 200
    if form == "json":
        assert [row["row"] for row in answer.get_json()["results"]] == list(range(done))
    else:
        assert len(answer.data.splitlines()) == done + (form == "csv")


def test_probabilities_are_in_every_form(service: Service) -> None:
    """Those of the label are the highest, and together they are one."""
    job = service.run_csv(a_csv(), "?outputs=probabilities")

    rows = results(service, job).get_json()["results"]
    cells = table(results(service, job, "?format=csv").text)

    assert list(rows[0]["probabilities"]) == list(default_model().classes)
    for row, cell in zip(rows, cells, strict=True):
        chances = row["probabilities"]
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
        assert chances == {name: float(cell[f"p_{name}"]) for name in chances}


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_input_is_given_back_with_the_labels(service: Service, form: str) -> None:
    """As it was written, in the model's order, whatever the order of the columns was."""
    text = written([row[::-1] for row in [names(), *beans()]])
    job = service.run_csv(text)

    if form == "csv":
        found = [
            {name: row[name] for name in names()}
            for row in table(results(service, job, "?format=csv&include=input").text)
        ]
    elif form == "json":
        page = results(service, job, "?include=input").get_json()
        found = [row["input"] for row in page["results"]]
    else:
        found = [row["input"] for row in service.rows(job, "&include=input")]

    assert found == [dict(zip(names(), row, strict=True)) for row in beans()]


def test_failed_rows_are_mended_and_sent_again(start: Start) -> None:
    """The table of them has their lines, reasons and columns, and is accepted as it is."""
    service = start(chunk_bytes=CHUNK)
    rows = [[*row, f"bean {at}", "=1+1"] for at, row in enumerate(beans(100))]
    good = [row[0] for row in rows]
    for at, bad in ((7, ""), (8, "much"), (70, "inf"), (71, "=2+3")):
        rows[at][0] = bad
    job = service.run_csv(Body(*in_parts(written([[*names(), "id", "note"], *rows]))))
    assert job["rows"]["failed"] == 4

    answer = service.client.get(job["links"]["errors"])

    assert answer.content_type == "text/csv; charset=utf-8"
    assert f'filename="{job["id"]}-errors.csv"' in answer.headers["Content-Disposition"]
    failed = table(answer.text)
    assert [(row["line"], row["error_code"], row["error_field"]) for row in failed] == [
        ("9", "missing", "Area"),
        ("10", "not_a_number", "Area"),
        ("72", "not_finite", "Area"),
        ("73", "not_a_number", "Area"),
    ]
    assert [(row["id"], row["note"]) for row in failed] == [
        (f"bean {at}", "'=1+1") for at in (7, 8, 70, 71)
    ]
    mended = StringIO(newline="")
    writer = csv.DictWriter(mended, list(failed[0]))
    writer.writeheader()
    writer.writerows(
        row | {"Area": good[at]} for row, at in zip(failed, (7, 8, 70, 71), strict=True)
    )
    again = service.run_csv(mended.getvalue())
    assert again["state"] == "succeeded"
    labels = bean_labels(100)
    assert [(row["id"], row["label"]) for row in service.rows(again)] == [
        (f"bean {at}", labels[at]) for at in (7, 8, 70, 71)
    ]


def test_a_job_without_failed_rows_has_an_empty_table_of_them(service: Service) -> None:
    """Only its header."""
    job = service.run_csv(a_csv())

    answer = service.client.get(job["links"]["errors"])

    assert answer.text == f"line,error_code,error_field,error_detail,{','.join(names())}\r\n"
