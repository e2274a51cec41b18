"""`validate_only`: a report on the rows, and no job."""

import tracemalloc
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import func, select

from shared.db.schema import jobs
from tests.beans import a_csv, names
from tests.marks import ON_SQLITE
from tests.service import Body, Service
from tests.working import BEAN

# How requests are read does not depend on the database.
pytestmark = ON_SQLITE


def nothing_is_stored(service: Service) -> bool:
    """Return whether there is no job."""
    count = service.database.read(lambda c: c.scalar(select(func.count()).select_from(jobs)))
    return bool(count == 0)


def report_of(service: Service, body: Any, query: str = "?validate_only=true") -> dict[str, Any]:
    """POST a CSV to be looked at only."""
    answer = service.post(f"/jobs{query}", body)
    assert answer.status_code == 200, answer.text
    assert nothing_is_stored(service)
    report: dict[str, Any] = answer.get_json()
    return report


def test_rows_of_json_are_reported_on(service: Service) -> None:
    """How many there are, how many can be used, and why the others cannot."""
    body = {"instances": [BEAN, BEAN[:15], [*BEAN[:15], "x"]], "model": "drybeans@1"}

    asked = service.client.post("/jobs?validate_only=true", json=body)
    told = service.client.post("/jobs", json=body | {"validate_only": True})

    report = asked.get_json()
    assert (asked.status_code, told.get_json()) == (200, report)
    assert (report["rows"], report["usable_rows"]) == (3, 1)
    assert (report["model"]["name"], report["model"]["version"]) == ("drybeans", 1)
    assert [(e["row"], e["code"], e["field"]) for e in report["errors"]] == [
        (1, "too_few_fields", None),
        (2, "not_a_number", "15"),
    ]
    assert [column["feature"] for column in report["columns"]] == names()
    assert nothing_is_stored(service)


def test_a_csv_is_reported_on_as_its_job_would_be(service: Service) -> None:
    """The same rows fail, with the same words; and the columns are told as they were matched."""
    lines = a_csv(5).replace("AspectRation", "ASPECTRATIO").splitlines()
    lines[2] = lines[2].replace(",", ";", 1)
    lines.insert(3, "")
    lines[5] = "," + lines[5].partition(",")[2]
    text = "\n".join(lines)

    report = report_of(service, text)
    job = service.run_csv(text)

    failed = [row for row in service.rows(job) if "error" in row]
    assert report["rows"] == job["rows"]["total"] == 5
    assert report["usable_rows"] == job["rows"]["succeeded"] == 3
    assert report["errors"] == [
        {"row": row["row"], "line": row["line"]} | row["error"] for row in failed
    ]
    assert report["columns"][4] == {
        "feature": names()[4],
        "position": 4,
        "name": "ASPECTRATIO",
    }


def test_columns_that_are_not_used_are_warned_of(service: Service) -> None:
    """As they would be with the job."""
    text = "".join(f"{line},x\n" for line in a_csv(2).splitlines())

    report = report_of(service, text)

    assert len(report["warnings"]) == 1
    assert "x" in report["warnings"][0]


def test_a_form_may_ask_for_a_report(service: Service) -> None:
    """validate_only is an option like any other."""
    form = {"validate_only": "true", "file": (BytesIO(a_csv(3).encode()), "beans.csv")}

    answer = service.client.post("/jobs", data=form, content_type="multipart/form-data")

    assert (answer.status_code, answer.get_json()["usable_rows"]) == (200, 3)
    assert nothing_is_stored(service)


def test_no_more_than_a_hundred_errors_are_listed(service: Service) -> None:
    """The answer says that there are more, and how many rows can be used."""
    header = a_csv(1).partition("\n")[0]
    bad = "\n".join([header, *["1"] * 101])

    report = report_of(service, bad)
    rows = service.client.post("/jobs?validate_only=true", json={"instances": [[1]] * 101})

    for found in (report, rows.get_json()):
        assert (found["rows"], found["usable_rows"]) == (101, 0)
        assert len(found["errors"]) == 100
        assert found["errors_truncated"] is True


@pytest.mark.parametrize(
    "query, body",
    [
        ("?validate_only=true", "Aera,Perimeter\n1,2\n"),
        ("?validate_only=true&model=cats", a_csv(1)),
        ("?validate_only=perhaps", a_csv(1)),
        ("?validate_only=true", ",".join(names())),
    ],
)
def test_what_no_job_could_come_of_is_refused(service: Service, query: str, body: str) -> None:
    """With the same 422 that the job would get."""
    answer = service.post(f"/jobs{query}", body)

    assert (answer.status_code, answer.get_json()["code"]) == (422, "request_invalid")
    assert nothing_is_stored(service)


def test_options_of_a_json_job_may_stand_in_the_query(service: Service) -> None:
    """As those of a CSV do; what stands in the body counts more."""
    body = {"instances": [BEAN]}

    asked = service.client.post("/jobs?model=drybeans@1&label.a=b", json=body).get_json()
    both = service.client.post("/jobs?model=drybeans@1", json=body | {"model": "drybeans@2"})

    assert (asked["model"]["version"], asked["labels"]) == (1, {"a": "b"})
    assert both.get_json()["model"]["version"] == 2
    wrong = service.client.post("/jobs?batch=7", json=body)
    assert wrong.get_json()["errors"][0]["pointer"] == "/batch"


def test_memory_does_not_grow_with_a_csv(service: Service) -> None:
    """Twenty megabytes are looked at within three."""
    header, line = a_csv(1).encode().splitlines(keepends=True)
    block = line * (200_000 // len(line))
    tracemalloc.start()
    report = report_of(service, Body(header, *[block] * 100))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert report["usable_rows"] == report["rows"] == 100 * (200_000 // len(line))
    assert most < 3_000_000


@pytest.mark.parametrize("kind", ["json", "csv", "form"])
def test_every_documented_default_is_accepted(service: Service, kind: str) -> None:
    """A client that sends all of them with each kind of body gets what it gets without them."""
    document = service.client.get("/openapi.json").get_json()
    parameters = document["paths"]["/jobs"]["post"]["parameters"]
    query = {
        one["name"]: defaults(one["schema"])
        for one in parameters
        if "default" in one["schema"] and one["schema"]["type"] != "object"
    }
    send: dict[str, dict[str, Any]] = {
        "json": {"json": {"instances": [BEAN]}},
        "csv": {"data": a_csv(1), "headers": {"Content-Type": "text/csv"}},
        "form": {"data": {"file": (BytesIO(a_csv(1).encode()), "beans.csv")}},
    }

    answer = service.client.post("/jobs", query_string=query, **send[kind])

    assert {"on_error", "outputs", "validate_only"} <= set(query)
    assert answer.status_code == 202, answer.text


def defaults(schema: dict[str, Any]) -> str:
    """Write the default of a parameter as a query does."""
    default = schema["default"]
    if isinstance(default, list):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("option", [{"on_error": "abort"}, {"max_errors": 0}], ids=str)
def test_rows_of_a_json_job_may_abort_it_too(service: Service, option: dict[str, Any]) -> None:
    """As those of a CSV: one bad row fails the job."""
    body = {"instances": [BEAN, [1.0], BEAN], **option}
    job = service.client.post("/jobs", json=body).get_json()["id"]

    done = service.finish(job)

    assert (done["state"], done["error"]) == (
        "failed",
        {"code": "too_many_errors", "detail": "1 row failed; the job allows 0."},
    )
    assert done["links"]["retry"] is None
