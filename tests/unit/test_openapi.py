"""The OpenAPI document: valid, whole, and made of what checks the requests."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from openapi_spec_validator import validate

from api.app import create_app
from api.bootstrap import build_services
from api.openapi.generator import describe_operation, path_of
from api.schemas.job_options import CsvOptions, JsonJob
from shared.settings import Settings
from tests.service import MODEL_ROOT

# Pages for people, and what they load.
_PAGES = re.compile(r"static|home\.\w+|documents\.docs|documents\.docs_asset")


def an_app(**settings: Any) -> Flask:
    """Make the application; it opens no connection."""
    return create_app(build_services(Settings(model_root=MODEL_ROOT, **settings)))


@pytest.fixture(scope="module")
def app() -> Flask:
    """The application."""
    return an_app()


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    """What it says of itself."""
    found: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return found


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    """As an independent validator sees it."""
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_rule_is_documented_or_a_page(app: Flask, document: dict[str, Any]) -> None:
    """No route is forgotten, and no operation is there that no route answers."""
    rules = {
        rule.rule: path_of(rule)
        for rule in app.url_map.iter_rules()
        if not _PAGES.fullmatch(rule.endpoint)
    }
    documented = {rule.rule for rule, _, _ in describe_operation(app)}

    assert set(rules) - documented == set()
    assert set(document["paths"]) == set(rules.values())
    for rule, method, _ in describe_operation(app):
        assert method.lower() in document["paths"][path_of(rule)]


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every operation by its method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    """A sentence each, and a name that no other has."""
    found = operations(document)

    assert all(operation["summary"].endswith((".", ").")) for operation in found.values())
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)


def test_every_example_of_a_request_fits_its_schema(document: dict[str, Any]) -> None:
    """Whoever sends an example as it is written has sent something valid."""
    seen = 0
    for name, operation in operations(document).items():
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            for example in content.get("examples", {}).values():
                schema = content["schema"] | {"components": document["components"]}
                assert jsonschema_rs.is_valid(schema, example["value"]), (name, kind)
                seen += 1
    assert seen > 5


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a document that has a type."""
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for value in node.values():
            yield from schemas_in(value)
    if isinstance(node, list):
        for value in node:
            yield from schemas_in(value)


def test_every_array_says_what_is_in_it(document: dict[str, Any]) -> None:
    """Generators of clients leave out an operation with an array of unknown items."""
    arrays = [schema for schema in schemas_in(document) if schema["type"] == "array"]

    assert len(arrays) > 20
    assert [array for array in arrays if "items" not in array] == []
    assert [one for one in schemas_in(document) if isinstance(one["type"], list)] == []


def test_every_operation_is_named_as_a_method_of_a_client(document: dict[str, Any]) -> None:
    """In camel case, and chosen: none is called by what its function happens to be called."""
    names = {operation["operationId"] for operation in operations(document).values()}

    assert {name for name in names if not re.fullmatch(r"[a-z]+(?:[A-Z][A-Za-z0-9]*)*", name)} == (
        set()
    )
    assert {"submitJob", "getJob", "listJobs", "getJobResults", "deleteJob"} <= names


def test_every_problem_is_shown_with_its_code(document: dict[str, Any]) -> None:
    """Each status has an example for each code that may stand in it."""
    for name, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            problem = answer.get("content", {}).get("application/problem+json")
            if problem is None:
                continue
            codes = problem["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert sorted(problem["examples"]) == codes, (name, status)
            for example in problem["examples"].values():
                assert str(example["value"]["status"]) == status


def test_what_checks_a_job_is_what_is_documented(document: dict[str, Any]) -> None:
    """The members of the models that read a request, no more and no less."""
    submit = document["paths"]["/jobs"]["post"]
    members = document["components"]["schemas"]["JsonJob"]

    assert set(members["properties"]) == set(JsonJob.model_fields)
    assert members["required"] == ["instances"]
    asked = {p["name"] for p in submit["parameters"] if p["in"] == "query"}
    assert asked == set(CsvOptions.model_fields)


def test_who_needs_a_key_is_documented() -> None:
    """Where keys are on: all but the pages, the document and the probes."""
    app = an_app(api_keys=True)
    found = operations(app.test_client().get("/openapi.json").get_json())

    free = {name for name, operation in found.items() if operation["security"] == []}
    assert free == {
        *("GET /healthz", "GET /readyz", "GET /v2/health/live", "GET /v2/health/ready"),
        "GET /openapi.json",
    }
    for name, operation in found.items():
        assert ("401" in operation["responses"]) == (name not in free), name


def test_the_document_is_no_larger_than_it_must_be(document: dict[str, Any]) -> None:
    """A page loads it at once."""
    assert len(json.dumps(document)) < 300_000


def test_the_page_loads_nothing_from_elsewhere(app: Flask) -> None:
    """Scripts and styles come from here, and none stands in the page itself."""
    client = app.test_client()
    page = client.get("/docs").text
    links = [part.split('"')[0] for mark in ('src="', 'href="') for part in page.split(mark)[1:]]

    assert "<script>" not in page
    assert "style=" not in page
    for link in links:
        if link != "data:,":
            assert link.startswith("/")
            with client.get(link) as answer:
                assert answer.status_code == 200, link
    assert client.get("/docs/index.css").status_code == 404
