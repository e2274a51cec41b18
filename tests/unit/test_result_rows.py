"""Stored results read back as rows."""

import math

import pytest

from api.jobs.result_rows import row_documents
from shared.domain.jobs import JobFailure
from shared.domain.rows import RowError
from tests.results import (
    LAYOUT,
    NO_ID,
    a_result,
    a_shape,
    chances,
    csv_input,
    json_input,
)

BAD = RowError(row=1, line=8, code="missing", field="Area", detail="The value is missing.")


def test_a_row_has_its_number_and_its_label() -> None:
    """Numbers count from 0 in the job, not in the chunk."""
    rows = list(row_documents(a_result("a", "b", first_row=100), a_shape()))

    assert rows == [{"row": 100, "label": "a"}, {"row": 101, "label": "b"}]


def test_a_row_of_a_csv_has_its_line() -> None:
    """The line in the client's own file, which a header and blank lines shift."""
    follow = a_result("a", "b", first_row=5, first_line=7)
    apart = a_result("a", "b", first_row=5, first_line=7, lines=[7, 9])

    assert [row["line"] for row in row_documents(follow, a_shape(NO_ID))] == [7, 8]
    assert [row["line"] for row in row_documents(apart, a_shape(NO_ID))] == [7, 9]


def test_a_row_has_its_own_id_when_the_csv_has_ids() -> None:
    """Empty ones too: that, also, is what the file says."""
    stored = a_result("a", "b", first_line=2, ids=["bean 7", ""])

    assert [row["id"] for row in row_documents(stored, a_shape(LAYOUT))] == ["bean 7", ""]


def test_a_row_with_an_error_says_which_instead_of_a_label() -> None:
    """Code, field and detail; the rows beside it are as they would be without it."""
    stored = a_result("a", None, "c", first_line=7, errors=(BAD,))

    rows = list(row_documents(stored, a_shape(NO_ID)))

    assert rows[1] == {
        "row": 1,
        "line": 8,
        "error": {"code": "missing", "field": "Area", "detail": "The value is missing."},
    }
    assert [rows[0]["label"], rows[2]["label"]] == ["a", "c"]


def test_the_rows_of_a_chunk_given_up_say_why() -> None:
    """Every one of them, so that none is silently missing."""
    failure = JobFailure(code="worker_died", detail="Four workers died.")
    stored = a_result("", "", labels=None, failure=failure)

    errors = [row["error"] for row in row_documents(stored, a_shape())]

    assert errors == [{"code": "worker_died", "field": None, "detail": "Four workers died."}] * 2


def test_probabilities_are_given_by_class_where_there_is_a_label() -> None:
    """In the model's order, to the seven digits that are stored."""
    stored = a_result(
        "a",
        None,
        "c",
        errors=(BAD,),
        probabilities=chances((0.1, 0.2, 0.7), (math.nan,) * 3, (1 / 3, 1 / 3, 1 / 3)),
    )

    rows = list(row_documents(stored, a_shape(chances=True)))

    assert rows[0]["probabilities"] == {"a": 0.1, "b": 0.2, "c": 0.7}
    assert list(rows[0]["probabilities"]) == ["a", "b", "c"]
    assert "probabilities" not in rows[1]
    assert rows[2]["probabilities"] == {"a": 0.3333333, "b": 0.3333333, "c": 0.3333333}


def test_the_input_of_json_rows_comes_back_as_numbers() -> None:
    """A row that was refused before it was stored has none."""
    stored = a_result("a", None, input=json_input((1.5, 2.0, 3.0), (math.nan,) * 3))

    rows = list(row_documents(stored, a_shape(include_input=True)))

    assert rows[0]["input"] == {"Area": 1.5, "Length": 2.0, "Width": 3.0}
    assert rows[1]["input"] == {"Area": None, "Length": None, "Width": None}


def test_the_input_of_a_csv_comes_back_as_it_was_written() -> None:
    """By feature, whatever the order of its columns; what a short line lacks is null."""
    stored = a_result(
        *("a", None, None, None),
        first_line=2,
        lines=[2, 5, 6, 7],
        errors=(BAD,),
        input=csv_input("1.50;x;2;+3e0;n", "", " \t", "1;y", 'a;b;"c;d";"e""f";g;h', "1;2\r3"),
    )

    inputs = [row["input"] for row in row_documents(stored, a_shape(LAYOUT, include_input=True))]

    assert inputs == [
        {"Area": "+3e0", "Length": "1.50", "Width": "2"},
        {"Area": None, "Length": "1", "Width": None},
        {"Area": 'e"f', "Length": "a", "Width": "c;d"},
        {"Area": None, "Length": "1", "Width": None},
    ]


def test_the_input_is_null_when_it_is_not_kept_any_more() -> None:
    """A label without its numbers is still a label."""
    rows = list(row_documents(a_result("a"), a_shape(include_input=True)))

    assert rows[0]["input"] == {"Area": None, "Length": None, "Width": None}


@pytest.mark.parametrize(
    "first, last, found",
    [
        (0, None, [10, 11, 12, 13]),
        (0, 12, [10, 11]),
        (11, 13, [11, 12]),
        (12, 100, [12, 13]),
        (14, 20, []),
        (0, 10, []),
    ],
)
@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_page_takes_only_its_own_rows_of_a_chunk(
    kind: str, first: int, last: int | None, found: list[int]
) -> None:
    """With everything that belongs to them, and nothing that belongs to their neighbours."""
    kept = (
        {"input": json_input(*[(at, 0, 0) for at in range(10, 14)])}
        if kind == "json"
        else {
            "input": csv_input(*[f"0;{at};0;{at};" for at in range(10, 14)]),
            "first_line": 30,
            "ids": ["10", "11", "12", "13"],
        }
    )
    stored = a_result(
        *("a", "b", "c", "a"),
        first_row=10,
        probabilities=chances(*[(at / 100, 0, 1) for at in range(10, 14)]),
        **kept,
    )
    shape = a_shape(LAYOUT if kind == "csv" else None, chances=True, include_input=True)

    rows = list(row_documents(stored, shape, first, last))

    assert [row["row"] for row in rows] == found
    assert [row["label"] for row in rows] == ["abca"[at - 10] for at in found]
    assert [row["probabilities"]["a"] for row in rows] == [at / 100 for at in found]
    assert [float(row["input"]["Area"] or 0) for row in rows] == found
    if kind == "csv":
        assert [row["line"] for row in rows] == [at + 20 for at in found]
        assert [row["id"] for row in rows] == [str(at) for at in found]
