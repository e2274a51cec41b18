"""POST /predict: the walkthrough's own call, answered to the letter, through the queue."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from shared.db.schema import chunks, inputs, jobs, results
from tests.beans import names
from tests.marks import ON_SQLITE
from tests.service import Service
from tests.working import BEAN, working
from worker.models.loader import ModelLoader

# How requests are read does not depend on the database.
pytestmark = ON_SQLITE


@pytest.fixture
def served(service: Service) -> Iterator[Service]:
    """The service with a worker at work."""
    with working(service):
        yield service


def predict(service: Service, **document: Any) -> TestResponse:
    """POST to /predict."""
    return service.client.post("/predict", json=document)


def stored_rows(service: Service) -> list[int]:
    """Count the rows of every table that holds something of a job."""
    tables = (jobs, chunks, inputs, results)
    return [
        service.database.read(lambda c, t=table: c.scalar(select(func.count()).select_from(t)))
        for table in tables
    ]


@pytest.mark.parametrize("version", ["", "drybeans", "drybeans@1", "drybeans@2"])
def test_the_walkthroughs_request_is_answered_byte_for_byte(served: Service, version: str) -> None:
    """Both fields are JSON inside strings; the default and both versions say the same."""
    model = {"model": version} if version else {}

    answer = predict(served, data=json.dumps([BEAN]), **model)

    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.data == rb'{"predictions": "[\"DERMASON\"]"}'


def test_rows_may_also_come_as_plain_json(served: Service) -> None:
    """Someone who does not see why it should be a string need not make one."""
    answer = predict(served, data=[BEAN, BEAN])

    assert answer.get_json() == {"predictions": '["DERMASON", "DERMASON"]'}


def test_a_prediction_is_stored_unless_told_otherwise(served: Service) -> None:
    """It is a job like any other."""
    predict(served, data=[BEAN])
    predict(served, data=[BEAN], store=True)

    assert stored_rows(served) == [2, 2, 2, 2]


def test_a_prediction_that_is_not_to_be_stored_leaves_nothing(served: Service) -> None:
    """Neither the bean nor its label stays in any table."""
    answer = predict(served, data=json.dumps([BEAN]), store=False)

    assert answer.data == rb'{"predictions": "[\"DERMASON\"]"}'
    assert stored_rows(served) == [0, 0, 0, 0]


def test_a_row_without_a_label_is_an_error(served: Service) -> None:
    """Here there is nowhere to put it but in a refusal, which says which rows and why."""
    answer = predict(served, data=[BEAN, BEAN[:3], [BEAN[0], -1e308, *BEAN[2:]]], store=False)

    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.get_json()["errors"]] == [
        ("/data/1", "too_few_fields"),
        ("/data/2", "not_predictable"),
    ]
    assert answer.get_json()["detail"] == "2 rows have no label; see errors."
    assert stored_rows(served) == [0, 0, 0, 0]


def test_the_only_row_that_no_model_takes_has_its_reason_in_the_sentence(served: Service) -> None:
    """Nobody needs to look into `errors` for the only reason there is."""
    far = [BEAN[0], -1e308, *BEAN[2:]]

    answer = predict(served, data=[far])

    assert answer.get_json()["detail"] == (
        "The only row cannot be predicted. The model cannot compute with these numbers; at least "
        "one is far out of range."
    )
    assert [e["pointer"] for e in answer.get_json()["errors"]] == ["/data/0"]
    many = predict(served, data=[BEAN, far])
    assert many.get_json()["detail"] == "1 row has no label; see errors."


@pytest.mark.parametrize(
    "data, detail, pointers",
    [
        ("[]", "Send a list of at least one row.", ["/data"]),
        (None, "Send a list of at least one row.", ["/data"]),
        (
            [BEAN[:2]],
            "The only row cannot be predicted. The row has 2 values; the model takes 16.",
            ["/data/0"],
        ),
        (
            [[*BEAN[:15], "x"]],
            "The only row cannot be predicted. A number is needed, not text.",
            ["/data/0/15"],
        ),
        (
            [dict(zip(names()[:15], BEAN, strict=False))],
            "The only row cannot be predicted. Missing: ShapeFactor4.",
            ["/data/0/ShapeFactor4"],
        ),
        (
            json.dumps(BEAN[:2]),
            "None of the 2 rows can be predicted; see errors. "  # noqa: ISC004 - a sentence
            "The first: A row is a list of 16 numbers, or an object by name.",
            ["/data/0", "/data/1"],
        ),
        (
            "[[NaN]]",
            "data is not well-formed JSON: NaN and Infinity are not JSON numbers (character 3).",
            [],
        ),
        ("", "data is not well-formed JSON: it is empty.", []),
    ],
    ids=["no row", "null", "short", "text", "a name missing", "no list of rows", "NaN", "empty"],
)
def test_a_refusal_is_a_sentence_about_what_was_sent(
    service: Service, data: Any, detail: str, pointers: list[str]
) -> None:
    """It says what is so, by the names that the client used, and points into its request."""
    problem = predict(service, data=data).get_json()

    assert (problem["detail"], [e["pointer"] for e in problem["errors"]]) == (detail, pointers)


@pytest.mark.parametrize(
    "document, status",
    [
        ({}, 422),
        ({"data": None}, 422),
        ({"data": "[[1, 2"}, 422),
        ({"data": "not json"}, 422),
        ({"data": "[[NaN]]"}, 422),
        ({"data": "[" * 1_000_000}, 422),
        ({"data": "[]"}, 422),
        ({"data": json.dumps(BEAN)}, 422),
        ({"data": [BEAN[:15]]}, 422),
        ({"data": [BEAN], "store": "false"}, 422),
        ({"data": [BEAN], "model": "beans"}, 422),
        ({"data": [BEAN], "instances": [BEAN]}, 422),
    ],
)
def test_a_bad_request_is_refused(service: Service, document: Any, status: int) -> None:
    """With a problem document and without a job."""
    answer = predict(service, **document)

    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["detail"]
    assert stored_rows(service) == [0, 0, 0, 0]


@pytest.mark.parametrize("store, left", [(True, [1, 1, 1, 0]), (False, [0, 0, 0, 0])])
def test_a_prediction_that_takes_too_long_is_told_so(
    database_url: str, redis_url: str, models: ModelLoader, *, store: bool, left: list[int]
) -> None:
    """503; the job goes on unless it was not to be stored."""
    service = Service(database_url, redis_url, models=models, predict_wait_seconds=0.1)

    answer = predict(service, data=[BEAN], store=store)

    assert (answer.status_code, answer.get_json()["code"]) == (503, "wait_timed_out")
    assert "Retry-After" in answer.headers
    assert stored_rows(service) == left
    service.stop()
