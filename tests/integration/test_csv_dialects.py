"""The CSVs that people have: each line of the contract about them, through the whole service."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.beans import COUNT, a_csv, bean_labels, beans, default_model, names, written
from tests.marks import ON_SQLITE
from tests.service import Service

# How requests are read does not depend on the database.
pytestmark = ON_SQLITE

Lines = list[list[str]]
NUMBER_COLUMNS = 16


def lines() -> Lines:
    """Return a header and beans, to be changed."""
    return [names(), *beans()]


def refused(service: Service, body: str | bytes, query: str = "") -> dict[str, Any]:
    """POST a CSV whose header is refused, and give the problem."""
    answer = service.post(f"/jobs{query}", body)
    assert answer.status_code == 422, answer.text
    assert answer.content_type == "application/problem+json"
    problem: dict[str, Any] = answer.get_json()
    return problem


def all_right(service: Service, body: str | bytes) -> dict[str, Any]:
    """Run a CSV of the beans and check every label; give the job."""
    job = service.run_csv(body)
    assert job["state"] == "succeeded"
    assert job["rows"] == {"total": COUNT, "succeeded": COUNT, "failed": 0}
    assert service.labels(job) == bean_labels()
    return job


def shuffled(table: Lines) -> Lines:
    """Put the columns in another order."""
    order = random.Random(4).sample(range(NUMBER_COLUMNS), NUMBER_COLUMNS)
    return [[row[at] for at in order] for row in table]


def renamed(change: Callable[[str], str]) -> Lines:
    """Spell the columns' names in another way."""
    return [[change(name) for name in names()], *beans()]


def aliased() -> Lines:
    """Call each column that has another name by that."""
    known = [(feature.name, *feature.aliases)[-1] for feature in default_model().features]
    return [known, *beans()]


def quoted(table: Lines) -> Lines:
    """Put quotes around every cell."""
    return [[f'"{cell}"' for cell in row] for row in table]


@pytest.mark.parametrize(
    "table",
    [
        lines(),
        shuffled(lines()),
        renamed(str.lower),
        renamed(str.upper),
        renamed(" {} ".format),
        aliased(),
        renamed(lambda name: name.replace("AspectRation", "AspectRatio")),
        quoted(lines()),
    ],
    ids=["plain", "order", "lower", "upper", "spaces", "aliases", "AspectRatio", "quoted"],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_columns_are_found_by_name_in_every_dialect(
    service: Service, table: Lines, delimiter: str
) -> None:
    """In any order, case and spelling, quoted or not, whatever separates them."""
    assert all_right(service, written(table, delimiter=delimiter))["warnings"] == []


@pytest.mark.parametrize(
    "body",
    [
        a_csv().encode("utf-8-sig"),
        a_csv(end="\r\n"),
        a_csv(end="\r\n").encode("utf-8-sig"),
        a_csv().rstrip("\n"),
        a_csv(end="\r\n").rstrip(),
        "\n \n" + a_csv(),
        a_csv() + "\n\n  \n",
        a_csv().replace("\n", "\n\n"),
    ],
    ids=["BOM", "CR LF", "both", "no end", "no CR LF end", "blank first", "blank last", "double"],
)
def test_marks_line_ends_and_blank_lines_change_nothing(
    service: Service, body: str | bytes
) -> None:
    """As Windows, Excel, editors and other programs write them."""
    all_right(service, body)


def test_columns_that_are_not_used_are_allowed_and_named(service: Service) -> None:
    """The data set's own Class, a note in another script, a cell with the delimiter."""
    extra: Lines = [["Class", "Büro"], *[["SIRA", '"a, b"']] * COUNT]
    table = [[*row[:3], *more, *row[3:]] for row, more in zip(lines(), extra, strict=True)]

    job = all_right(service, written(table))

    assert job["warnings"] == ["Columns not used: Class, Büro."]


def test_numbers_without_a_header_are_taken_in_the_models_order(service: Service) -> None:
    """Exactly as many as the model takes; the job says what was assumed."""
    job = all_right(service, written(beans()))

    assert job["warnings"] == ["There is no header: the columns were taken in the model's order."]
    assert [row["line"] for row in service.rows(job)] == list(range(1, COUNT + 1))


def test_numbers_without_a_header_and_one_too_many_are_refused(service: Service) -> None:
    """Seventeen numbers may be sixteen and an id, or a file for another model."""
    problem = refused(service, written([[*row, "1"] for row in beans()]))

    assert "neither a header with the model's columns nor 16 numbers" in problem["detail"]


def test_an_id_column_is_echoed(service: Service) -> None:
    """As text, whatever it holds; it is no feature and needs no warning."""
    ids = ["007", "b 2", '"c, 3"', "", "1e5", *[f"bean {at}" for at in range(5, COUNT)]]
    table = [[*row[:5], own, *row[5:]] for row, own in zip(lines(), ["ID", *ids], strict=True)]

    job = all_right(service, written(table))

    assert [row["id"] for row in service.rows(job)] == [own.strip('"') for own in ids]
    assert job["warnings"] == []


def test_line_numbers_are_those_of_the_clients_file(service: Service) -> None:
    """With blank lines before, between and after, counted from 1; rows from 0."""
    row = ",".join(beans(1)[0])
    body = "\r\n".join(["", ",".join(names()), "", row, row, " ", "", "x" + row, row, ""])

    rows = service.rows(service.run_csv(body))

    assert [(found["row"], found["line"]) for found in rows] == [(0, 4), (1, 5), (2, 8), (3, 9)]
    assert rows[2]["error"]["code"] == "not_a_number"


@pytest.mark.parametrize(
    "cells, code, field",
    [
        ({0: ""}, "missing", "Area"),
        ({0: "  "}, "missing", "Area"),
        ({15: "big"}, "not_a_number", "ShapeFactor4"),
        ({1: "1_000"}, "not_a_number", "Perimeter"),
        ({1: "0x10"}, "not_a_number", "Perimeter"),
        ({1: '"1,5"'}, "not_a_number", "Perimeter"),
        ({4: "NaN"}, "not_finite", "AspectRation"),
        ({4: "-inf"}, "not_finite", "AspectRation"),
        ({4: "1e999"}, "not_finite", "AspectRation"),
        ({3: "", 2: "x"}, "not_a_number", "MajorAxisLength"),
    ],
)
def test_a_bad_value_fails_its_row_and_no_other(
    service: Service, cells: dict[int, str], code: str, field: str
) -> None:
    """Empty, text, NaN, infinite; the job is partial and says which column of which line."""
    table = lines()
    table[3] = [cells.get(at, cell) for at, cell in enumerate(table[3])]

    job = service.run_csv(written(table))

    assert job["state"] == "partial"
    assert job["rows"] == {"total": COUNT, "succeeded": COUNT - 1, "failed": 1}
    error = service.rows(job)[2]
    assert (error["line"], error["error"]["code"], error["error"]["field"]) == (4, code, field)
    assert service.labels(job) == [*bean_labels()[:2], None, *bean_labels()[3:]]


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda row: row[:-1], "too_few_fields"),
        (lambda row: [*row, "1"], "too_many_fields"),
        (lambda row: [*row, ""], "too_many_fields"),
        (lambda _: ["x"], "too_few_fields"),
        (lambda row: [row[0] + "\r1", *row[1:]], "malformed"),
    ],
)
def test_a_line_of_another_shape_fails_its_row_and_no_other(
    service: Service, change: Callable[[Sequence[str]], list[str]], code: str
) -> None:
    """Too few or too many fields, or a line end of another system in the middle."""
    table = lines()
    table[-1] = change(table[-1])

    job = service.run_csv(written(table))

    assert service.rows(job)[-1]["error"]["code"] == code
    assert service.labels(job) == [*bean_labels()[:-1], None]


def test_a_job_whose_every_row_is_bad_has_failed(service: Service) -> None:
    """Accepted, since its header is right; each row says why."""
    job = service.run_csv(written([names(), ["x"], ["y"]]))

    assert (job["state"], job["rows"]["failed"]) == ("failed", 2)


def test_missing_columns_are_refused_at_once_and_named(service: Service) -> None:
    """With those that stand in their place, so that a typing error shows."""
    table = [[name.replace("Area", "Aera") for name in names()], *beans()]

    problem = refused(service, written([row[:-1] for row in table]))

    assert problem["code"] == "request_invalid"
    assert problem["detail"] == (
        "The header does not fit the model. Missing: Area, ConvexArea, ShapeFactor4. "
        "Unknown: Aera, ConvexAera."
    )
    assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [
        ("Area", "missing_column"),
        ("ConvexArea", "missing_column"),
        ("ShapeFactor4", "missing_column"),
        ("Aera", "unknown_column"),
        ("ConvexAera", "unknown_column"),
    ]


def test_a_column_that_is_there_twice_is_refused_by_name(service: Service) -> None:
    """Also under two of its names: which of them is meant?"""
    table = [[*row, row[4]] for row in lines()]
    table[0][-1] = "aspectratio"

    problem = refused(service, written(table))

    assert problem["detail"] == "The header does not fit the model. Given twice: aspectratio."
    assert [fault["code"] for fault in problem["errors"]] == ["repeated_column"]


@pytest.mark.parametrize(
    "body, words",
    [
        ("", "The CSV is empty."),
        ("\n\n \n", "The CSV is empty."),
        (",".join(names()), "The CSV has no rows."),
        (a_csv(0) + "\n\n", "The CSV has no rows."),
        ("a,b,c\n1,2,3\n", "neither a header"),
        (a_csv().replace(",", "|"), "neither a header"),
        (a_csv().replace("\n", "\r"), "lone CR"),
        (a_csv().encode("utf-16"), "The file is in UTF-16"),
        ("{}", "neither a header"),
        (a_csv().replace("Area,", '"Are\na",', 1), "neither a header"),
        (a_csv().replace("\n", ',"a\nb"\n', 1), "Line 1 has a quoted field"),
    ],
    ids=range(11),
)
def test_what_is_no_csv_for_this_model_is_refused_at_once(
    service: Service, body: str | bytes, words: str
) -> None:
    """With a sentence about what to do; no job is left behind."""
    assert words in refused(service, body)["detail"]
    assert service.client.get("/jobs").get_json()["jobs"] == []


def test_a_quoted_line_break_is_refused_with_its_line(service: Service) -> None:
    """It would tear the row apart; its line is that of the file."""
    table = lines()
    table[5][2] = '"two\nlines"'

    assert refused(service, written(table))["detail"].startswith("Line 6 has a quoted field that")


def test_a_line_of_boundless_length_is_refused(service: Service) -> None:
    """With 413 and the limit."""
    answer = service.post("/jobs", a_csv() + "1," * 40_000)

    assert answer.status_code == 413
    assert "longer than 65536 bytes" in answer.get_json()["detail"]
