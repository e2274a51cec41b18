"""Reading the lines of a CSV: the fast way gives what the straightforward way gives."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from shared.domain.csv_layout import CsvLayout, is_blank, read_header
from tests.csv_files import NO_NUMBERS, ODD_NUMBERS, CsvFile, TornField, csv_files, flaw, read_file
from worker.batch.csv_rows import Rows, read_clean, read_each, read_lines

FEATURES = ("Area", "Length", "Width")
SPELLINGS = (("Area",), ("Length", "Len"), ("Width",))
COLUMNS = {name.lower(): at for at, names in enumerate(SPELLINGS) for name in names}
MANY = 300
LAYOUT = CsvLayout(
    delimiter=",",
    width=5,
    positions=(3, 0, 2),
    id_position=1,
    names=("Length", "id", "Width", "Area", "note"),
)


def table(*lines: str, end: str = "\n") -> bytes:
    """Write `lines` of a CSV in `LAYOUT`."""
    return "".join(line + end for line in lines).encode()


def clean_lines(count: int = MANY) -> list[str]:
    """Write rows in which nothing is odd."""
    return [f"{at}.5,bean {at},{-at}e-3,{at * at},a note" for at in range(count)]


def same(one: Rows, two: Rows) -> bool:
    """Return whether two readings are equal to the last bit."""
    return (
        one.values.shape == two.values.shape
        and np.array_equal(one.values.view(np.uint64), two.values.view(np.uint64))
        and (one.errors, one.ids, one.lines) == (two.errors, two.ids, two.lines)
    )


@settings(max_examples=3 * settings().max_examples)
@given(csv_files(SPELLINGS))
def test_lines_are_read_as_the_straightforward_reader_reads_them(file: CsvFile) -> None:
    """Numbers to the last bit, errors with their lines and columns, ids, in every dialect."""
    try:
        expected = read_file(file, FEATURES)
    except TornField:
        return
    layout, data, first_line = body_of(file)

    rows = read_lines(data, layout, len(expected), first_line)

    numbers = [row.numbers or (math.nan,) * 3 for row in expected]
    np.testing.assert_array_equal(rows.values, np.array(numbers).reshape(-1, 3), strict=True)
    assert [(error.row, error.line, error.code) for error in rows.errors] == [
        (at, row.line, row.code) for at, row in enumerate(expected) if row.code
    ]
    assert [spelling(error.field) for error in rows.errors] == [
        row.field for row in expected if row.code
    ]
    assert rows.ids == ([row.id for row in expected] if layout.id_position is not None else None)
    lines = rows.lines or list(range(first_line, first_line + len(expected)))
    assert lines == [row.line for row in expected]


def body_of(file: CsvFile) -> tuple[CsvLayout, bytes, int]:
    """Split a file into what its first line says and the lines that hold rows."""
    lines = file.data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    first = next(at for at, line in enumerate(lines) if not is_blank(line))
    text = lines[first].decode("utf-8", "replace").removesuffix("\r")
    header = read_header(text, COLUMNS, FEATURES)
    rest = lines[first if header.is_data else first + 1 :]
    data = b"\n".join(rest)
    ended = data if data.endswith(b"\n") or not data else data + b"\n"
    return header.layout, ended, first + (1 if header.is_data else 2)


def spelling(field: str | None) -> str | None:
    """Return the feature's own name for a column's."""
    if field is None or field.startswith("column"):
        return field
    return FEATURES[COLUMNS[field.lower()]]


@given(csv_files(SPELLINGS))
def test_the_fast_way_is_right_wherever_it_gives_an_answer(file: CsvFile) -> None:
    """It may give up on a file, but never differ from reading line by line."""
    layout, data, first_line = body_of(file)
    rows = sum(not is_blank(line) for line in data.split(b"\n"))
    if rows and (clean := read_clean(data, layout, rows)):
        assert same(clean, read_each(data, layout, first_line))


@pytest.mark.parametrize(
    "data",
    [
        table(*clean_lines()),
        table(*clean_lines(), end="\r\n"),
        table(*(line.replace(",", '","').join('""') for line in clean_lines())),
        table(*(line.replace("a note", "True") for line in clean_lines())),
        table(*(line.replace("a note", "é€\t nan") for line in clean_lines())),
        table(*(line.replace(".5,", ".5 , ") for line in clean_lines())),
        table(*(line.replace("e-3", "E+3") for line in clean_lines())),
    ],
    ids=["LF", "CR LF", "quoted", "truths in a note", "text in a note", "spaces", "exponents"],
)
def test_a_clean_file_is_read_the_fast_way(data: bytes) -> None:
    """Without a flaw there is no reason to look at each line, whatever the dialect."""
    clean = read_clean(data, LAYOUT, MANY)

    assert clean is not None
    assert same(clean, read_each(data, LAYOUT, 7))
    assert same(read_lines(data, LAYOUT, MANY, 7), clean)


@pytest.mark.parametrize(
    "odd",
    [
        "1,a,2,3",
        "1,a,2,3,b,c",
        "1,a,2",
        '1,"a,b",2,3,',
        '1,"a ""b""",2,3,',
        '1,5" a,2,3,',
        '1,a,2,3,"x"y',
        "1,a\rb,2,3,",
        "1,a,2,3,\0",
        "",
        " \t",
        "1,a,2,+3,b",
        *(f"1,a,2,{text.replace(',', ';')},b" for text in NO_NUMBERS if "\r" not in text),
    ],
)
@pytest.mark.parametrize("at", [0, MANY // 2, MANY])
def test_one_odd_line_has_every_line_looked_at(odd: str, at: int) -> None:
    """The fast way would guess: fill short lines, cut long ones, take truths for numbers."""
    lines = clean_lines()
    lines.insert(at, odd)
    data = table(*lines)
    rows = MANY + bool(odd.strip())

    assert read_clean(data, LAYOUT, rows) is None
    assert len(read_lines(data, LAYOUT, rows, 2).values) == rows


@pytest.mark.parametrize("text", ["true", "True", "FALSE"])
def test_a_column_of_truths_is_no_column_of_numbers(text: str) -> None:
    """Pandas would read ones and zeros."""
    rows = read_lines(table(*[f"1,a,2,{text},b"] * MANY), LAYOUT, MANY, 2)

    assert {error.code for error in rows.errors} == {"not_a_number"}
    assert len(rows.errors) == MANY


@pytest.mark.parametrize("text", [*ODD_NUMBERS, *NO_NUMBERS])
@pytest.mark.parametrize("many", [1, MANY])
def test_what_counts_as_a_number_does_not_depend_on_its_neighbours(text: str, many: int) -> None:
    """One cell, alone or in every row, is judged as the straightforward reader judges it."""
    cell = f'"{text}"' if "," in text or "\r" in text else text

    rows = read_lines(table(*[f"1,a,2,{cell},b"] * many), LAYOUT, many, 2)

    codes = [flaw(text.encode().decode())] * many
    assert [error.code for error in rows.errors] == [code for code in codes if code]
    if codes[0] is None:
        assert rows.values[:, 0].tolist() == [float(text)] * many


@pytest.mark.parametrize(
    "line, code, field, detail",
    [
        ("1", "too_few_fields", None, "The line has 1 field; the header has 5."),
        ("1,a,2", "too_few_fields", None, "The line has 3 fields; the header has 5."),
        ("1,a,2,3,4,5", "too_many_fields", None, "The line has 6 fields; the header has 5."),
        ("1,a,2,,b", "missing", "Area", "The value is missing."),
        ("x,a,y,3,b", "not_a_number", "Length", "'x' is not a number."),
        (
            '1,a,"2,5",3,b',
            "not_a_number",
            "Width",
            "'2,5' is not a number. Write decimals with a point.",
        ),
        ("1,a,-inf,3,b", "not_finite", "Width", "NaN and infinity are not measurements."),
        ("1,a,1e999,3,b", "not_finite", "Width", "The number is too large for a float64."),
        ("1,a\rb,2,3,b", "malformed", None, "The line holds a carriage return before its end."),
    ],
)
def test_an_error_says_what_is_wrong_and_where(
    line: str, code: str, field: str | None, detail: str
) -> None:
    """Row within the chunk, line in the file, a code for programs and a sentence for people."""
    rows = read_lines(table(*clean_lines(2), "", line), LAYOUT, 3, 40)

    (error,) = rows.errors
    assert (error.row, error.line) == (2, 43)
    assert (error.code, error.field, error.detail) == (code, field, detail)
    assert np.isnan(rows.values[2]).all()
    assert np.isfinite(rows.values[:2]).all()


def test_a_control_character_beside_a_number_fails_its_row_only() -> None:
    """Python strips it in one place and refuses it in another; other rows have no part in it."""
    lines = clean_lines()
    lines[7] = lines[7].replace(".5,", ".5\x1d,")

    rows = read_lines(table(*lines), LAYOUT, MANY, 2)

    (error,) = rows.errors
    assert (error.row, error.line, error.code, error.field) == (7, 9, "not_a_number", "Length")
    assert error.detail == "'7.5\\x1d' is not a number."
    assert np.isfinite(np.delete(rows.values, 7, axis=0)).all()


@pytest.mark.parametrize("many", [1, MANY])
def test_whatever_goes_wrong_in_a_line_fails_its_row(many: int) -> None:
    """Here a layout that cannot be: no parser's exception takes the other rows with it."""
    broken = replace(LAYOUT, positions=(3, 0, 9))

    rows = read_lines(table(*clean_lines(many)), broken, many, 2)

    assert [(error.row, error.line, error.code) for error in rows.errors] == [
        (at, at + 2, "malformed") for at in range(many)
    ]
    assert {error.detail for error in rows.errors} == {"The line cannot be read."}


def test_a_byte_order_mark_in_the_midst_of_a_file_is_text() -> None:
    """A file made of two has one at the start of a chunk, perhaps; it belongs to the first id."""
    layout = CsvLayout(
        delimiter=",", width=4, positions=(1, 2, 3), id_position=0, names=("id", *FEATURES)
    )
    data = "\ufeffa,1,2,3\n".encode() + b"b,1,2,3\n" * MANY

    rows = read_lines(data, layout, MANY + 1, 2)

    assert rows.ids is not None
    assert rows.ids[:2] == ["\ufeffa", "b"]
    assert same(rows, read_each(data, layout, 2))


def test_a_long_text_is_not_repeated_whole() -> None:
    """An error is read by people, and stored for every row."""
    (error,) = read_lines(table(f"1,a,2,{'x' * 5000},b"), LAYOUT, 1, 2).errors

    assert len(error.detail) < 120


def test_a_column_without_a_header_is_named_by_its_number() -> None:
    """Counted from 1, as a spreadsheet does."""
    layout = CsvLayout(delimiter=";", width=3, positions=(0, 1, 2), id_position=None, names=())

    number, few = read_lines(b"1;2;x\n1;2\n", layout, 2, 1).errors

    assert number.field == "column 3"
    assert few.detail == "The line has 2 fields; the first line has 3."


def test_the_first_flaw_in_the_models_order_is_told() -> None:
    """Whatever the order of the columns: the same row in another file has the same error."""
    (error,) = read_lines(table("x,a,y,z,b"), LAYOUT, 1, 2).errors

    assert error.field == "Area"


@pytest.mark.parametrize("bad", [None, 1])
def test_ids_are_echoed_as_they_stand(bad: int | None) -> None:
    """Spaces, zeros and all; also that of a row with an error, and what looks missing."""
    names = ["007", " x ", "NA", "", "1e5", "=1-1"]
    lines = [f"1,{names[at % 6]},{'x' if at == bad else 2},3,b" for at in range(MANY)]

    rows = read_lines(table(*lines), LAYOUT, MANY, 2)

    assert rows.ids == [names[at % 6] for at in range(MANY)]
    assert (read_clean(table(*lines), LAYOUT, MANY) is None) == (bad is not None)


def test_a_short_line_has_its_id_if_it_comes_that_far() -> None:
    """A client finds a row by its id also when the line is cut off."""
    rows = read_lines(table("1,bean 7", "1"), LAYOUT, 2, 2)

    assert rows.ids == ["bean 7", ""]


def lines_of(*lines: str) -> Sequence[int] | None:
    """Read rows and give the lines that they say they stand in."""
    count = sum(bool(line.strip()) for line in lines)
    return read_lines(table(*lines), LAYOUT, count, 10).lines


def test_lines_are_told_only_when_they_do_not_follow_one_another() -> None:
    """A chunk without blank lines between its rows needs no list of them."""
    row = "1,a,2,3,b"

    assert lines_of(row, row) is None
    assert lines_of(row, row, "") is None
    assert lines_of("", row, row) == [11, 12]
    assert lines_of(row, " ", row) == [10, 12]
