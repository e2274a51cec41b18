"""Holds every answer that a test sees to what the OpenAPI document promises of it."""

import re
from functools import cache
from typing import Any, Final

import jsonschema_rs
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from api.app import PUBLIC
from api.openapi.generator import openapi_document, path_of

_JSON: Final = re.compile(r"[/+]json$")


class CheckedClient(FlaskClient):
    """A client that fails a test whose request gets an answer that is not documented."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request and check its answer."""
        response = super().open(*args, **kwargs)
        operation = _operation(self.application, response)
        if operation is not None:
            _check(operation, response)
        return response


@cache
def _documents() -> dict[str, Any]:
    return {}


def _document(app: Flask) -> dict[str, Any]:
    # The same for every application of a test run, but for who needs a key.
    kept = _documents()
    if not kept:
        kept |= openapi_document(app, public=PUBLIC, keys=False)
    return kept


def _operation(app: Flask, response: TestResponse) -> dict[str, Any] | None:
    """Find what is documented of the call; None for pages and for what no route takes."""
    asked = response.request
    try:
        rule, _ = app.url_map.bind("").match(asked.path, asked.method, return_rule=True)
    except HTTPException:
        return None
    paths: dict[str, Any] = _document(app)["paths"]
    found: dict[str, Any] | None = paths.get(path_of(rule), {}).get(asked.method.lower())
    return found


def _check(operation: dict[str, Any], response: TestResponse) -> None:
    where = f"{operation['operationId']} answered {response.status}"
    answer = operation["responses"].get(str(response.status_code))
    assert answer is not None, f"{where}, which is not documented"
    kinds = answer.get("content")
    if kinds is None:
        return
    assert response.mimetype in kinds, f"{where} as {response.mimetype}, which is not documented"
    assert "X-Request-ID" in response.headers
    if response.mimetype and _JSON.search(response.mimetype):
        validator = _validator(operation["operationId"], response.status_code, response.mimetype)
        errors = [str(error) for error in validator.iter_errors(response.get_json())]
        assert errors == [], where


@cache
def _validator(operation_id: str, status: int, kind: str) -> jsonschema_rs.Draft202012Validator:
    document = _documents()
    (schema,) = (
        operation["responses"][str(status)]["content"][kind]["schema"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if operation["operationId"] == operation_id
    )
    whole = schema | {"components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
