"""Errors and the problem documents they become."""

import importlib
import pkgutil
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api
import shared
from api.http.problems import STATUS, headers_of, problem, register_errors
from shared.domain.errors import (
    DatabaseDown,
    DryBeansError,
    FieldError,
    IntakeFull,
    JobNotFound,
    JobUnfinished,
    KeyInFlight,
    KeyTaken,
    ModelUnavailable,
    Overloaded,
    QueueDown,
    QuotaExceeded,
    RequestInvalid,
    TooManyStreams,
    WaitTimedOut,
)

# These build their process when they are imported.
_NOT_IMPORTED = ("api.wsgi", "api.gunicorn_conf", "shared.db.migrations", "__main__")


def every_error() -> Iterator[type[DryBeansError]]:
    """Walk the error tree as far as the API can meet it; the worker's own errors stay there."""
    for package in (api, shared):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(name in module.name for name in _NOT_IMPORTED):
                importlib.import_module(module.name)
    waiting = [DryBeansError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.partition(".")[0] in {"api", "shared"}:
            yield error


ERRORS = sorted(every_error(), key=lambda error: error.__name__)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_a_status(error: type[DryBeansError]) -> None:
    """None is left to become a 500 by accident."""
    assert error in STATUS


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_one_sentence_with_a_code_of_its_own(error: type[DryBeansError]) -> None:
    """The docstring's first line is the default message; the code is what programs look at."""
    sentence = error().detail

    assert sentence
    assert sentence.endswith((".", "shortly."))
    assert str(error()) == sentence
    assert "code" in vars(error)
    assert error.code.isidentifier()


def test_no_two_errors_share_a_code() -> None:
    """A client can tell them apart."""
    codes = [error.code for error in ERRORS]

    assert len(set(codes)) == len(codes)


def written(*faults: FieldError, path: str = "/jobs") -> Response:
    """Write a problem about a request to `path`."""
    with Flask(__name__).test_request_context(path):
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "request_invalid", "No.", faults)


def test_a_problem_is_a_document_of_rfc_9457() -> None:
    """Title and status are HTTP's, code and detail ours, errors point into the request."""
    fault = FieldError(pointer="/instances/0", code="empty", detail="The row is empty.")

    response = written(fault)

    assert response.content_type == "application/problem+json"
    assert response.get_json() == {
        "type": "about:blank",
        "title": HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
        "status": 422,
        "code": "request_invalid",
        "detail": "No.",
        "errors": [{"pointer": "/instances/0", "code": "empty", "detail": "The row is empty."}],
    }


def test_a_problem_lists_a_hundred_faults_and_says_that_there_are_more() -> None:
    """An answer never grows with the number of mistakes."""
    faults = [FieldError(pointer=f"/{n}", code="x", detail="x") for n in range(101)]

    whole, cut = written(*faults[:100]).get_json(), written(*faults).get_json()

    assert len(whole["errors"]) == len(cut["errors"]) == 100
    assert "errors_truncated" not in whole
    assert cut["errors_truncated"] is True


def code_of(response: TestResponse) -> str:
    """Read a problem's code."""
    code: str = response.get_json()["code"]
    return code


@pytest.fixture
def client() -> FlaskClient:
    """A client of an application that does nothing but fail."""
    app = Flask(__name__)
    register_errors(app, max_body_bytes=10)
    app.config["MAX_CONTENT_LENGTH"] = 10
    raised: dict[str, Exception] = {
        "drybeans": RequestInvalid("Not so."),
        "missing": JobNotFound(),
        "unfinished": JobUnfinished(),
        "down": DatabaseDown(),
        "bug": ZeroDivisionError("secret value 4711"),
    }

    @app.post("/raise/<name>")
    def fail(name: str) -> str:
        raise raised[name]

    @app.post("/read")
    def read() -> bytes:
        return request.get_data()

    return app.test_client()


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/raise/drybeans", 422, "request_invalid"),
        ("/raise/missing", 404, "job_not_found"),
        ("/nowhere", 404, "not_found"),
        ("/raise/down", 503, "database_down"),
        ("/raise/bug", 500, "internal_error"),
    ],
)
def test_every_error_is_answered_as_a_problem(
    client: FlaskClient, path: str, status: int, code: str
) -> None:
    """Ours, Flask's own, and bugs alike."""
    response = client.post(path)

    assert (response.status_code, code_of(response)) == (status, code)
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("name, after", [("down", "2"), ("unfinished", "1")])
def test_what_passes_by_itself_says_when_to_try_again(
    client: FlaskClient, name: str, after: str
) -> None:
    """503 and the 409 of an unfinished job carry Retry-After."""
    assert client.post(f"/raise/{name}").headers["Retry-After"] == after


def test_a_bug_tells_the_log_and_not_the_client(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """No text of an unexpected error leaves the service; its traceback is logged."""
    response = client.post("/raise/bug")

    assert "4711" not in response.text
    assert "4711" in caplog.text


def test_a_wrong_method_is_told_which_are_right(client: FlaskClient) -> None:
    """405 carries Allow, as HTTP demands."""
    response = client.get("/raise/bug")

    assert (response.status_code, code_of(response)) == (405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


def test_a_body_that_is_too_large_is_told_the_limit(client: FlaskClient) -> None:
    """413 says how many bytes there may be."""
    response = client.post("/read", data=b"x" * 11)

    assert (response.status_code, code_of(response)) == (413, "body_too_large")
    assert "10 bytes" in response.text


# Of every other error the same request would only get the same answer.
_WAIT: Final = (
    QuotaExceeded, KeyInFlight, KeyTaken, Overloaded, JobUnfinished,
    WaitTimedOut, IntakeFull, TooManyStreams, DatabaseDown, QueueDown, ModelUnavailable,
)  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
def test_only_what_waiting_can_change_says_when_to_try_again(error: type[DryBeansError]) -> None:
    """A finished job stays finished: 409 alone does not ask clients to come again."""
    headers = headers_of(error)

    assert ("Retry-After" in headers) is issubclass(error, _WAIT)
    assert ("WWW-Authenticate" in headers) is (STATUS[error] == HTTPStatus.UNAUTHORIZED)
    if "Retry-After" in headers:
        assert int(headers["Retry-After"]) >= 1
        assert STATUS[error] in {409, 429, 503}
