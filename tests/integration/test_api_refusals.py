"""Every refusal of a JSON job: which status, which code, and never a 500."""

import json
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from shared.db.schema import jobs
from tests.marks import ON_SQLITE
from tests.service import Service
from tests.working import BEAN
from worker.models.loader import ModelLoader

# How requests are read does not depend on the database.
pytestmark = ON_SQLITE

NAN = json.dumps({"instances": [[float("nan"), *BEAN[1:]]]})
INFINITY = json.dumps({"instances": [[float("inf"), *BEAN[1:]]]})
MINUS_INFINITY = json.dumps({"instances": [[float("-inf"), *BEAN[1:]]]})
BRACKETS = "[" * 10_000_000
DEEP_ROW = '{"instances": [' + "[" * 500 + "]" * 500 + "]}"
TOO_LARGE_A_NUMBER = '{"instances": [[1e400' + ",1" * 15 + "]]}"
LONG_WHOLE_NUMBER = '{"instances": [[' + "9" * 400 + ",1" * 15 + "]]}"


def post(
    service: Service, body: str | bytes, kind: str | None = "application/json"
) -> TestResponse:
    """POST `body` to /jobs."""
    headers = {} if kind is None else {"Content-Type": kind}
    return service.client.post("/jobs", data=body, headers=headers)


def problem_of(answer: TestResponse) -> dict[str, Any]:
    """Check that `answer` is a whole problem document and give it."""
    assert answer.content_type == "application/problem+json"
    assert UUID(answer.headers["X-Request-ID"]).version == 7
    document: dict[str, Any] = answer.get_json()
    assert set(document) - {"errors_truncated"} == {
        *("type", "title", "status", "code", "detail", "errors")
    }
    assert document["status"] == answer.status_code
    assert document["detail"]
    assert len(answer.data) < 50_000
    return document


def nothing_was_accepted(service: Service) -> bool:
    """Return whether no job was stored."""
    count = service.database.read(lambda c: c.scalar(select(func.count()).select_from(jobs)))
    return bool(count == 0)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="cut off"),
        pytest.param("{'instances': []}", id="single quotes"),
        pytest.param('{"instances": [[1,]]}', id="trailing comma"),
        pytest.param('{"instances": []} {}', id="more after it"),
        pytest.param(b'{"instances": "\xff"}', id="not UTF-8"),
        pytest.param(NAN, id="NaN"),
        pytest.param(INFINITY, id="infinity"),
        pytest.param(MINUS_INFINITY, id="minus infinity"),
        pytest.param(TOO_LARGE_A_NUMBER, id="1e400"),
        pytest.param(LONG_WHOLE_NUMBER, id="400 digits"),
        pytest.param(BRACKETS, id="10 MB of brackets"),
        pytest.param("x" * 1_000_000, id="1 MB of text"),
    ],
)
def test_what_is_not_json_is_refused(service: Service, body: str | bytes) -> None:
    """400, with the place of the first mistake; a body of brackets costs no stack."""
    document = problem_of(post(service, body))

    assert (document["status"], document["code"]) == (400, "body_malformed")
    assert nothing_was_accepted(service)


@pytest.mark.parametrize("body", [NAN, INFINITY, MINUS_INFINITY])
def test_numbers_that_json_does_not_have_are_named(service: Service, body: str) -> None:
    """Python's own encoder writes them, so this mistake deserves its own sentence."""
    detail = problem_of(post(service, body))["detail"]

    assert "NaN and Infinity are not JSON numbers" in detail


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"]
)
def test_another_content_type_is_refused(service: Service, kind: str | None) -> None:
    """415 says what to send."""
    document = problem_of(post(service, json.dumps({"instances": [BEAN]}), kind))

    assert (document["status"], document["code"]) == (415, "body_type_unsupported")
    assert "application/json" in document["detail"]
    assert nothing_was_accepted(service)


def test_a_charset_in_the_content_type_is_no_mistake(service: Service) -> None:
    """Many clients add one."""
    body = json.dumps({"instances": [BEAN]})

    assert post(service, body, "application/json; charset=utf-8").status_code == 202


def test_a_body_that_is_too_large_is_refused(
    database_url: str, redis_url: str, models: ModelLoader
) -> None:
    """413 states the limit, whether the body says how long it is or only turns out to be."""
    service = Service(database_url, redis_url, models=models, max_body_bytes=1000)
    body = json.dumps({"instances": [BEAN] * 20})
    chunked = {"wsgi.input": BytesIO(body.encode()), "wsgi.input_terminated": True}

    said = problem_of(post(service, body))
    unsaid = problem_of(
        service.client.post("/jobs", content_type="application/json", environ_overrides=chunked)
    )

    for document in (said, unsaid):
        assert (document["status"], document["code"]) == (413, "body_too_large")
        assert "1000 bytes" in document["detail"]
    assert nothing_was_accepted(service)
    service.stop()


def test_too_many_rows_are_refused(database_url: str, redis_url: str, models: ModelLoader) -> None:
    """413 states the limit and what to do instead."""
    service = Service(database_url, redis_url, models=models, max_instances=10)

    document = problem_of(post(service, json.dumps({"instances": [BEAN] * 11})))

    assert (document["status"], document["code"]) == (413, "body_too_large")
    assert "11 rows are more than the 10" in document["detail"]
    service.stop()


@pytest.mark.parametrize("body", ["[]", "[[1]]", "null", "1", '"text"', "true"])
def test_json_that_is_no_object_is_refused(service: Service, body: str) -> None:
    """422 shows what an object looks like."""
    document = problem_of(post(service, body))

    assert (document["status"], document["code"]) == (422, "request_invalid")


@pytest.mark.parametrize(
    "instances, pointers",
    [
        pytest.param([], [("/instances", "instances")], id="empty list"),
        pytest.param(None, [("/instances", "instances")], id="null"),
        pytest.param([1], [("/instances/0", "not_a_row")], id="a flat row"),
        pytest.param("[[1]]", [("/instances", "instances")], id="text"),
        pytest.param([[]], [("/instances/0", "empty")], id="empty row"),
        pytest.param([BEAN[:15]], [("/instances/0", "too_few_fields")], id="15 numbers"),
        pytest.param([[*BEAN, 1]], [("/instances/0", "too_many_fields")], id="17 numbers"),
        pytest.param([["1", *BEAN[1:]]], [("/instances/0/0", "not_a_number")], id="text number"),
        pytest.param([[True, *BEAN[1:]]], [("/instances/0/0", "not_a_number")], id="boolean"),
        pytest.param([[*BEAN[:15], None]], [("/instances/0/15", "missing")], id="null number"),
        pytest.param([[[1], *BEAN[1:]]], [("/instances/0/0", "not_a_number")], id="nested list"),
        pytest.param([[BEAN]], [("/instances/0", "too_few_fields")], id="a list too deep"),
        pytest.param([{}], [("/instances/0/Area", "too_few_fields")], id="empty object"),
        pytest.param([{"Weight": 1}], [("/instances/0/Weight", "unknown_field")], id="name"),
        pytest.param([None], [("/instances/0", "not_a_row")], id="null row"),
        pytest.param([[], []], [("/instances/0", "empty"), ("/instances/1", "empty")], id="2"),
    ],
)  # fmt: skip
def test_a_job_without_a_usable_row_is_refused(
    service: Service, instances: Any, pointers: list[tuple[str, str]]
) -> None:
    """422 at once, with a pointer to each bad row."""
    document = problem_of(post(service, json.dumps({"instances": instances})))

    assert (document["status"], document["code"]) == (422, "request_invalid")
    assert [(error["pointer"], error["code"]) for error in document["errors"]] == pointers
    assert nothing_was_accepted(service)


def test_a_row_of_brackets_is_a_bad_row(service: Service) -> None:
    """What JSON's own depth limit lets pass is refused by what a row is."""
    assert problem_of(post(service, DEEP_ROW))["status"] == 422


def test_no_more_than_a_hundred_mistakes_are_listed(service: Service) -> None:
    """And it is said that there are more."""
    document = problem_of(post(service, json.dumps({"instances": [[]] * 5000})))

    assert len(document["errors"]) == 100
    assert document["errors_truncated"] is True


@pytest.mark.parametrize(
    "options, pointer",
    [
        ({"model": "beans"}, "/model"),
        ({"model": "drybeans@3"}, "/model"),
        ({"model": "drybeans@"}, "/model"),
        ({"model": "drybeans@-1"}, "/model"),
        ({"model": "../drybeans"}, "/model"),
        ({"model": "drybeans@1@2"}, "/model"),
        ({"model": "x" * 100_000}, "/model"),
        ({"model": 2}, "/model"),
        ({"model": None}, "/model"),
        ({"outputs": ["shap"]}, "/outputs/0"),
        ({"outputs": None}, "/outputs"),
        ({"outputs": ["label", "probabilities"], "model": "drybeans@1"}, "/outputs"),
        ({"labels": {"k": 1}}, "/labels/k"),
        ({"labels": "k=v"}, "/labels"),
        ({"retention_seconds": 10**30}, "/retention_seconds"),
        ({"retention_seconds": "60"}, "/retention_seconds"),
        ({"priority": 1}, "/priority"),
        ({"x" * 100_000: 1}, "/" + "x" * 80),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    service: Service, options: dict[str, Any], pointer: str
) -> None:
    """422 with a pointer to it; unknown members are not ignored, since they may be misspelt."""
    document = problem_of(post(service, json.dumps({"instances": [BEAN], **options})))

    assert (document["status"], document["code"]) == (422, "request_invalid")
    assert [error["pointer"] for error in document["errors"]] == [pointer]
    assert nothing_was_accepted(service)


def test_a_model_that_there_is_not_is_answered_with_those_that_there_are(service: Service) -> None:
    """So that a misspelt name is mended without looking further."""
    document = problem_of(post(service, json.dumps({"instances": [BEAN], "model": "drybean"})))

    assert document["detail"] == ("There is no model 'drybean'; there is drybeans@1, drybeans@2.")


@pytest.mark.parametrize(
    "method, path, allowed",
    [
        ("PUT", "/jobs/0190a0b0-0000-7000-8000-000000000000", "GET"),
        ("GET", "/predict", "POST"),
        ("POST", "/models", "GET"),
        ("POST", "/", "GET"),
        ("DELETE", "/healthz", "GET"),
    ],
)
def test_a_wrong_method_is_refused(service: Service, method: str, path: str, allowed: str) -> None:
    """405 says which are right."""
    answer = service.client.open(path, method=method)

    document = problem_of(answer)
    assert (document["status"], document["code"]) == (405, "method_not_allowed")
    assert allowed in answer.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/job", "/jobs/x/y/z", "/predict/1", "/admin", "/.env", "/%2e%2e"]
)
def test_an_unknown_path_is_refused(service: Service, path: str) -> None:
    """404 as a problem like any other."""
    document = problem_of(service.client.get(path))

    assert (document["status"], document["code"]) == (404, "not_found")
