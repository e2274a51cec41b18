"""The first line of a CSV: columns found by name, in any order, spelling and dialect."""

from collections.abc import Sequence
from dataclasses import asdict

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.csv_layout import (
    CsvLayout,
    Header,
    count_rows,
    is_blank,
    iter_rows,
    read_header,
    split_line,
)
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


@pytest.mark.parametrize(
    "line", ["1,2.5", "1,2,3,5", "1,2,big", "a,b,c", "PK\x03\x04", "{}", "sheet 1", "a1 b1"]
)
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

    assert CsvLayout.from_document(orjson.loads(orjson.dumps(asdict(layout)))) == layout


def test_a_column_is_named_by_the_header_or_else_by_its_number() -> None:
    """What an error says about a column, its client can find."""
    assert header("AspectRation,Area,Perimeter").layout.column_name(2) == "Perimeter"
    assert header("1,2.5,3").layout.column_name(2) == "column 3"


@pytest.mark.parametrize(
    "line, blank", [(b"", True), (b" \t\r\n", True), (b",,", False), (b"0", False)]
)
def test_a_line_of_spaces_is_no_row(line: bytes, *, blank: bool) -> None:
    """Blank lines are passed over; a line of empty fields is a row with errors."""
    assert is_blank(line) is blank


def test_a_quoted_field_may_hold_delimiter_and_quotes() -> None:
    """As RFC 4180 has it."""
    assert split_line('1,"a, ""b""",2', ",") == ["1", 'a, "b"', "2"]


NUMBERED = [f"feature {at}" for at in range(16)]
LIST = ", ".join(NUMBERED)


def numbered_refusal(line: str) -> RequestInvalid:
    """Read a first line that numbers its columns for a model of 16 features."""
    with pytest.raises(RequestInvalid) as caught:
        read_header(line, {name: at for at, name in enumerate(NUMBERED)}, NUMBERED)
    return caught.value


def numbers(first: int, prefix: str = "", count: int = 16) -> list[str]:
    """Write names of columns as programs do where they have none."""
    return [f"{prefix}{at}" for at in range(first, first + count)]


@pytest.mark.parametrize(
    "cells",
    [
        numbers(0),
        numbers(1),
        numbers(2),
        numbers(17)[::-1],
        [f"{at}.0" for at in range(16)],
        [f" {at} " for at in range(16)],
        numbers(0, count=17),
        numbers(0, count=40),
        *(numbers(1, prefix) for prefix in ("V", "X", "c", "...", "col_", "Column ", "Unnamed: ")),
        *(numbers(0, prefix) for prefix in ("X", "c", "f", "Unnamed: ")),
        *([index, *numbers(0)] for index in ("", "Unnamed: 0", "index", "0")),
        *([index, *numbers(1, "V")] for index in ("", "...1", "rownames", "1")),
    ],
    ids=lambda cells: f"{cells[0]}-{cells[1]}-{len(cells)}",
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_row_of_column_numbers_is_no_row_of_data(
    cells: Sequence[str], delimiter: str, quote: str
) -> None:
    """What pandas, R and others write for columns without names; the refusal says what to do."""
    error = numbered_refusal(delimiter.join(f"{quote}{cell}{quote}" for cell in cells))

    stripped = [cell.strip() for cell in cells]
    more = f" and {len(cells) - 20} more" if len(cells) > 20 else ""
    assert error.detail == (
        f"The first line only numbers the columns ({', '.join(stripped[:20])}{more}). Replace it "
        f"with a header that names every column; the model's are {LIST}. If it is a row of data, "
        "put that header before it."
    )
    assert [fault.pointer for fault in error.faults] == NUMBERED


@pytest.mark.parametrize("line", ["0,1,2", "1,2,3", '"0","1","2"', "x0,x1,x2", ",0,1,2"])
def test_few_column_numbers_are_no_row_of_data_either(line: str) -> None:
    """A model of few columns cannot tell them from a row, so its client has to say."""
    assert refusal(line).detail.startswith("The first line only numbers the columns (")


@pytest.mark.parametrize("line", ["5,6,7", "1,2,4", "3,2,1", "1.5,2.5,3.5", "0,0,0", "1,1,2"])
def test_other_whole_numbers_are_a_row_of_data(line: str) -> None:
    """A model of few columns may well have rows of small whole numbers."""
    assert header(line).is_data


def test_numbered_names_that_the_model_knows_are_a_header() -> None:
    """A model may call its features X0, X1, X2 itself."""
    names = numbers(0, "X", 3)

    found = read_header(",".join(names), {name.lower(): at for at, name in enumerate(names)}, names)

    assert (found.is_data, found.layout.positions) == (False, (0, 1, 2))


def test_an_index_without_a_name_is_told_as_one() -> None:
    """Pandas writes one; the sentence names it though it has no name."""
    found = header(",Area,Perimeter,AspectRation,Note")

    assert found.layout.positions == (1, 2, 3)
    assert found.warnings == ("Columns not used: one without a name, Note.",)


@pytest.mark.parametrize("cell", ["nan", "-inf", "1e999", " 5\xa0"])
def test_a_first_row_may_hold_what_is_not_finite(cell: str) -> None:
    """It is a row with an error, and its file has no header."""
    assert header(f"1,{cell},3").is_data


@pytest.mark.parametrize("cell", ["", "1_000", "0x10", "1\x1d", "\uff11"])
def test_a_first_row_of_other_than_numbers_is_no_data(cell: str) -> None:
    """The same definition of a number as for every other line."""
    assert refusal(f"7,{cell},3").detail == (
        "The first line is neither a header with the model's columns nor 3 numbers. The columns "
        "are Area, Perimeter, AspectRation; separate them by comma, semicolon or tab."
    )


@given(st.lists(st.sampled_from([b"", b" ", b"\t \r", b"1,2", b" 3 ", b"\r", b"x\ry"])))
def test_rows_are_the_lines_that_are_not_blank(lines: list[bytes]) -> None:
    """Each with its number, counted from 0 over all lines."""
    data = b"".join(line + b"\n" for line in lines)

    assert list(iter_rows(data)) == [
        (at, line) for at, line in enumerate(lines) if not is_blank(line)
    ]
    assert len(list(iter_rows(data))) == count_rows(data)


@pytest.mark.parametrize("blank", [b"\n", b" \n", b"\r\n", b" " * 60_000 + b"\n"])
def test_blank_lines_cost_next_to_nothing(blank: bytes) -> None:
    """Megabytes of them, also without end, are passed over at once."""
    data = b"1\n" + blank * ((1 << 23) // len(blank)) + b"2\n" + b" " * 60_000

    assert [line for _, line in iter_rows(data)][:2] == [b"1", b"2"]
