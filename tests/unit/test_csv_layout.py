"""The first line of a CSV: columns found by name, in any order, spelling and dialect."""

from collections.abc import Sequence
from dataclasses import asdict

import orjson
import pytest

from shared.domain.csv_layout import CsvLayout, Header, is_blank, read_header, split_line
from shared.domain.errors import RequestInvalid

NAMES = ("Area", "Perimeter", "AspectRation")
COLUMNS = {"area": 0, "perimeter": 1, "aspectration": 2, "aspectratio": 2}


def header(line: str) -> Header:
    """Read `line` as the header of a CSV for a model of three features."""
    return read_header(line, COLUMNS, NAMES)


def refusal(line: str) -> RequestInvalid:
    """Read a header that must be refused."""
    with pytest.raises(RequestInvalid) as caught:
        header(line)
    return caught.value


@pytest.mark.parametrize(
    "line, positions",
    [
        ("Area,Perimeter,AspectRation", (0, 1, 2)),
        ("AspectRation,Area,Perimeter", (1, 2, 0)),
        ("area,PERIMETER,aspectRation", (0, 1, 2)),
        ("Area,Perimeter,AspectRatio", (0, 1, 2)),
        (" Area , Perimeter\t, AspectRation ", (0, 1, 2)),
        ('"Area","Perimeter","AspectRation"', (0, 1, 2)),
        ("Area;Perimeter;AspectRation", (0, 1, 2)),
        ("Area\tPerimeter\tAspectRation", (0, 1, 2)),
    ],
    ids=["plain", "order", "case", "alias", "spaces", "quotes", "semicolon", "tab"],
)
def test_columns_are_found_by_name(line: str, positions: Sequence[int]) -> None:
    """Order, case, aliases, spaces, quotes and the delimiter do not matter."""
    found = header(line)

    assert found.layout.positions == positions
    assert (found.warnings, found.is_data) == ((), False)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_finds_the_columns(delimiter: str) -> None:
    """A comma inside a quoted name does not make a CSV comma-separated."""
    line = delimiter.join(['"Weight, dry"', *NAMES])

    found = header(line)

    assert found.layout.delimiter == delimiter
    assert (found.layout.width, found.layout.positions) == (4, (1, 2, 3))


def test_extra_columns_are_allowed_and_told() -> None:
    """A client sees which of its columns were not used."""
    found = header("Class,Area,Perimeter,AspectRation,Note")

    assert found.layout.positions == (1, 2, 3)
    assert found.warnings == ("Columns not used: Class, Note.",)


def test_a_column_of_ids_is_echoed_and_not_told_as_extra() -> None:
    """The first column named id is the client's own name for each row."""
    found = header("Id,Area,Perimeter,AspectRation,id")

    assert found.layout.id_position == 0
    assert found.warnings == ("Columns not used: id.",)


def test_a_missing_column_is_named() -> None:
    """All that is wrong with a header is told at once, by name."""
    error = refusal("Area,Weight")

    assert [(f.pointer, f.code) for f in error.faults] == [
        ("Perimeter", "missing_column"),
        ("AspectRation", "missing_column"),
        ("Weight", "unknown_column"),
    ]
    assert error.detail == (
        "The header does not fit the model. Missing: Perimeter, AspectRation. Unknown: Weight."
    )


@pytest.mark.parametrize("again", ["Area", "AREA"])
def test_a_column_given_twice_is_refused(again: str) -> None:
    """Nobody guesses which of two columns was meant."""
    error = refusal(f"Area,Perimeter,AspectRation,{again}")

    assert [(f.pointer, f.code) for f in error.faults] == [(again, "repeated_column")]


def test_a_column_and_its_alias_are_the_same_column() -> None:
    """Both spellings of one feature in one header are one too many."""
    error = refusal("Area,Perimeter,AspectRation,AspectRatio")

    assert [(f.pointer, f.code) for f in error.faults] == [("AspectRatio", "repeated_column")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_numbers_without_a_header_are_taken_in_the_models_order(delimiter: str) -> None:
    """Exactly as many numbers as features are data, and the client is warned."""
    found = header(delimiter.join(["1", "2.5", "-3e2"]))

    assert found.is_data
    assert (found.layout.positions, found.layout.delimiter) == ((0, 1, 2), delimiter)
    assert found.warnings == ("There is no header: the columns were taken in the model's order.",)


@pytest.mark.parametrize("line", ["1,2", "1,2,3,4", "1,2,big", "a,b,c", "PK\x03\x04", "{}"])
def test_a_first_line_that_is_neither_header_nor_data_is_refused(line: str) -> None:
    """The refusal says what the columns are."""
    error = refusal(line)

    assert [fault.code for fault in error.faults] == ["missing_column"] * 3
    assert "Area, Perimeter, AspectRation" in error.detail


def test_a_lone_carriage_return_is_refused() -> None:
    """Lines that end as on the first Macintosh would be read as one line."""
    assert "lone CR" in refusal("Area,Perimeter,AspectRation\r1,2,3").detail


def test_a_refusal_stays_short_whatever_the_header() -> None:
    """Hundreds of columns with long names do not make an answer of megabytes."""
    error = refusal(",".join(["Area", *(f"{'x' * 500}{n}" for n in range(200))]))

    assert len(error.detail) < 2000
    assert all(len(fault.pointer) <= 80 for fault in error.faults)


def test_a_layout_comes_back_from_the_database_as_it_was() -> None:
    """It is stored as JSON with the job."""
    layout = header("Id;Area;Perimeter;AspectRation").layout

    assert CsvLayout.of(orjson.loads(orjson.dumps(asdict(layout)))) == layout


def test_a_column_is_named_by_the_header_or_else_by_its_number() -> None:
    """What an error says about a column, its client can find."""
    assert header("AspectRation,Area,Perimeter").layout.column_name(2) == "Perimeter"
    assert header("1,2,3").layout.column_name(2) == "column 3"


@pytest.mark.parametrize(
    "line, blank", [(b"", True), (b" \t\r\n", True), (b",,", False), (b"0", False)]
)
def test_a_line_of_spaces_is_no_row(line: bytes, *, blank: bool) -> None:
    """Blank lines are passed over; a line of empty fields is a row with errors."""
    assert is_blank(line) is blank


def test_a_quoted_field_may_hold_delimiter_and_quotes() -> None:
    """As RFC 4180 has it."""
    assert split_line('1,"a, ""b""",2', ",") == ["1", 'a, "b"', "2"]
