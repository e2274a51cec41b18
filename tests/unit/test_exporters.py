"""Results as NDJSON and CSV, and failed rows as a CSV to mend."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import StringIO

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.jobs.exporters import csv_table, errors_table, escape_formula, ndjson
from api.jobs.result_rows import ResultShape
from shared.db.queries.results import StoredResult
from shared.domain.csv_layout import read_header
from shared.domain.jobs import JobFailure
from shared.domain.rows import RowError
from tests.models import a_manifest
from tests.results import (
    LAYOUT,
    NO_HEADER,
    NO_ID,
    a_result,
    a_shape,
    chances,
    csv_input,
    json_input,
)

Writer = Callable[[Iterable[StoredResult], ResultShape], Iterator[bytes]]
MISSING = RowError(row=1, line=3, code="missing", field="Area", detail="The value is missing.")


def table(stored: Iterable[StoredResult], shape: ResultShape) -> str:
    """Write results as a CSV."""
    return b"".join(csv_table(stored, shape)).decode()


def errors(stored: Iterable[StoredResult], shape: ResultShape) -> list[list[str]]:
    """Write the failed rows and read them back as a spreadsheet would."""
    text = b"".join(errors_table(stored, shape)).decode()
    return list(csv.reader(StringIO(text, newline="")))


def test_ndjson_has_one_object_a_line_chunk_after_chunk() -> None:
    """A piece holds rows of one chunk only, so memory holds one chunk."""
    parts = list(ndjson([a_result("a", "b"), a_result("c", first_row=2)], a_shape()))

    assert len(parts) == 2
    lines = b"".join(parts).splitlines()
    assert [orjson.loads(line) for line in lines] == [
        {"row": 0, "label": "a"},
        {"row": 1, "label": "b"},
        {"row": 2, "label": "c"},
    ]


@pytest.mark.parametrize("write", [ndjson, csv_table, errors_table])
def test_a_download_takes_a_chunk_only_when_it_is_wanted(write: Writer) -> None:
    """So its memory is that of one chunk, however many there are, and however slow the reader."""
    taken: list[int] = []

    def stored() -> Iterator[StoredResult]:
        for at in range(1000):
            taken.append(at)
            yield a_result(None, first_row=at, errors=(replace(MISSING, row=0),))

    pieces = write(stored(), a_shape())
    for _ in range(5):
        next(pieces)

    assert len(taken) <= 5


def test_a_table_has_a_header_and_a_line_a_row() -> None:
    """Rows from JSON have no lines and no ids."""
    text = table([a_result("a", "b"), a_result("c", first_row=2)], a_shape())

    assert text == "row,label,error\r\n0,a,\r\n1,b,\r\n2,c,\r\n"


def test_a_table_of_a_csv_has_its_lines_and_ids() -> None:
    """So that it can be laid beside the client's own file."""
    shape = a_shape(LAYOUT)
    stored = a_result("a", "b", first_line=7, ids=["x", "y, z"])

    assert table([stored], shape) == 'row,line,id,label,error\r\n0,7,x,a,\r\n1,8,"y, z",b,\r\n'


def test_a_table_has_a_column_a_class_when_probabilities_were_asked_for() -> None:
    """Empty where a row has none."""
    stored = a_result(
        "a", None, errors=(MISSING,), probabilities=chances((0.5, 0.25, 0.25), (0, 0, 0))
    )

    lines = table([stored], a_shape(chances=True)).splitlines()

    assert lines == [
        "row,label,p_a,p_b,p_c,error",
        "0,a,0.5,0.25,0.25,",
        "1,,,,,missing: The value is missing.",
    ]


def test_a_table_with_input_repeats_the_features_after_the_rest() -> None:
    """In the model's order and under its names."""
    stored = a_result("a", first_line=2, input=csv_input("1.50;x;2;3;n"))

    lines = table([stored], a_shape(NO_ID, include_input=True)).splitlines()

    assert lines == ["row,line,label,error,Area,Length,Width", "0,2,a,,3,1.50,2"]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_text_that_a_spreadsheet_would_run_is_made_harmless(begin: str) -> None:
    """An apostrophe before it makes it text; there are six ways for a formula to begin."""
    assert escape_formula(f"{begin}cmd|' /C calc'!A0") == f"'{begin}cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    "cell", ["-1", "+1", "-1.5e-3", "+.5", "-5.", "-1E+10", -1.5, None, "", "a=b", "1-2", "'=x"]
)
def test_numbers_and_other_text_are_left_as_they_are(cell: str | float | None) -> None:
    """A negative number is no formula."""
    assert escape_formula(cell) == cell


@pytest.mark.parametrize("cell", ["-1+1", "+1|x", "-cmd", "=1", "+", "-", "--1", "-1e5x", "-1 "])
def test_what_only_begins_like_a_number_is_made_harmless(cell: str) -> None:
    """`-1+cmd|…` is a formula too."""
    assert escape_formula(cell) == f"'{cell}"


def test_formulas_in_ids_and_inputs_are_harmless_in_a_table() -> None:
    """Every text that is echoed; numbers, labels and lines are ours."""
    stored = a_result("a", first_line=2, ids=["=1+1"], input=csv_input("@x;=1+1;-5;-2+3;n"))

    (row,) = list(csv.reader(table([stored], a_shape(LAYOUT, include_input=True)).splitlines()))[1:]

    assert row == ["0", "2", "'=1+1", "a", "", "'-2+3", "'@x", "-5"]


def test_json_keeps_text_as_it_is() -> None:
    """Nobody runs a formula in JSON, and a program wants the id that it sent."""
    stored = a_result("a", first_line=2, ids=["=1+1"])

    (line,) = b"".join(ndjson([stored], a_shape(LAYOUT))).splitlines()

    assert orjson.loads(line)["id"] == "=1+1"


awkward = st.text(alphabet="ab=+-@,;\"\r\n\t 'é0", min_size=1, max_size=4)


@given(
    classes=st.lists(awkward, min_size=1, max_size=3, unique=True),
    first_row=st.integers(0, 10**9),
    lines=st.booleans(),
    pick=st.lists(st.integers(0, 2), max_size=5),
)
def test_the_quick_way_of_writing_gives_the_same_bytes_as_the_other(
    classes: Sequence[str], first_row: int, *, lines: bool, pick: Sequence[int]
) -> None:
    """Whatever the classes are called: a chunk that says its lines one by one takes the other."""
    labels = [classes[at % len(classes)] for at in pick]
    shape = a_shape(NO_ID if lines else None, classes=classes)
    quick = a_result(*labels, first_row=first_row, first_line=7 if lines else 0)
    slow = replace(quick, lines=[7 + at for at in range(len(labels))])

    assert table([quick], shape) == table([slow], shape)


def test_a_table_may_have_chunks_of_both_kinds() -> None:
    """One chunk with an error among many without."""
    stored = [
        a_result("a", "b", first_line=2),
        a_result("c", None, first_row=2, first_line=4, errors=(replace(MISSING, line=5),)),
        a_result("a", first_row=4, first_line=6),
    ]

    assert table(stored, a_shape(NO_ID)).splitlines() == [
        "row,line,label,error",
        *("0,2,a,", "1,3,b,", "2,4,c,", "3,5,,missing: The value is missing.", "4,6,a,"),
    ]


def test_failed_rows_come_with_their_reasons_and_their_own_columns() -> None:
    """All that came, also what the model does not use; the good rows are not there."""
    stored = a_result(
        *("a", None, "b"),
        first_line=2,
        errors=(MISSING,),
        input=csv_input("1;x;2;3;n", '1;"y;z";2;;=n', "1;z;2;3;n"),
    )

    assert errors([stored], a_shape(LAYOUT)) == [
        ["line", "error_code", "error_field", "error_detail", *LAYOUT.names],
        ["3", "missing", "Area", "The value is missing.", "1", "y;z", "2", "", "'=n"],
    ]


def test_the_table_of_failed_rows_is_a_csv_that_can_be_sent_again() -> None:
    """Its header has every feature once; what it adds are columns that are not used."""
    text = b"".join(errors_table([], a_shape(LAYOUT))).decode()
    manifest = a_manifest()

    header = read_header(text.strip(), manifest.columns, [f.name for f in manifest.features])

    assert not header.is_data
    assert header.layout.id_position == 5
    assert header.warnings == (
        "Columns not used: line, error_code, error_field, error_detail, note.",
    )


def test_failed_rows_of_a_csv_without_a_header_get_one() -> None:
    """Its columns are the model's, in the model's order."""
    stored = a_result(
        None, first_line=1, errors=(replace(MISSING, row=0),), input=csv_input("x,2,3")
    )

    head, row = errors([stored], a_shape(NO_HEADER))

    assert head[4:] == ["Area", "Length", "Width"]
    assert (row[0], row[4:]) == ("1", ["x", "2", "3"])


def test_failed_rows_from_json_are_named_by_their_row() -> None:
    """They have no lines; their numbers were refused before they were stored."""
    stored = a_result(
        "a",
        None,
        first_row=100,
        errors=(MISSING,),
        input=json_input((1, 2, 3), (float("nan"),) * 3),
    )

    head, row = errors([stored], a_shape())

    assert head == ["row", "error_code", "error_field", "error_detail", "Area", "Length", "Width"]
    assert row == ["101", "missing", "Area", "The value is missing.", "", "", ""]


def test_every_row_of_a_chunk_given_up_is_a_failed_row() -> None:
    """They are fine, and can be sent again as they are."""
    failure = JobFailure(code="worker_died", detail="Four workers died.")
    stored = a_result(
        *("", ""),
        first_line=2,
        labels=None,
        failure=failure,
        input=csv_input("1;x;2;3;n", "4;y;5;6;m"),
    )

    _, *rows = errors([stored], a_shape(LAYOUT))

    assert rows == [
        ["2", "worker_died", "", "Four workers died.", "1", "x", "2", "3", "n"],
        ["3", "worker_died", "", "Four workers died.", "4", "y", "5", "6", "m"],
    ]


def test_a_failed_row_with_too_many_fields_keeps_them_all() -> None:
    """Which of them is too many only its sender knows."""
    stored = a_result(
        None, first_line=2, errors=(replace(MISSING, row=0),), input=csv_input("1;2;3;4;5;6;7")
    )

    _, row = errors([stored], a_shape(LAYOUT))

    assert row[4:] == ["1", "2", "3", "4", "5", "6", "7"]
