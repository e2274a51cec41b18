"""Errors of rows as they are stored: many that are alike take the room of one."""

from dataclasses import asdict, replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.row_errors import MIN_SHARED, count_errors, read_errors, write_errors
from shared.domain.rows import RowError

SHORT = RowError(row=0, code="too_few_fields", detail="The line has 1 field; the header has 16.")
TEXT = RowError(row=0, code="not_a_number", detail="'x' is not a number.", field="Area")
kinds = st.sampled_from([None, None, SHORT, SHORT, SHORT, TEXT, replace(TEXT, field="Perimeter")])


@given(st.lists(kinds, max_size=400))
def test_errors_come_back_as_they_were_written(drawn: list[RowError | None]) -> None:
    """Each row has its own again, in order, however many share a document."""
    errors = tuple(replace(one, row=at) for at, one in enumerate(drawn) if one)

    written = orjson.loads(orjson.dumps(write_errors(errors)))

    assert read_errors(written) == errors
    assert count_errors(written) == len(errors)
    assert (written is None) == (not errors)


def test_rows_that_follow_one_another_with_the_same_error_are_a_range() -> None:
    """A chunk of 40,000 wrong lines is stored in a hundred bytes."""
    errors = [replace(SHORT, row=at) for at in range(5, 40_005) if at != 700]

    assert write_errors(errors) == [
        {
            "code": "too_few_fields",
            "detail": "The line has 1 field; the header has 16.",
            "field": None,
            "rows": [[5, 695], [701, 39_304]],
        }
    ]


def test_kinds_that_alternate_are_two_documents() -> None:
    """The sentence of each is stored once, with a few bytes for every row."""
    errors = [replace(TEXT if at % 2 else SHORT, row=at) for at in range(1000)]

    assert [document["code"] for document in write_errors(errors) or ()] == [
        "too_few_fields",
        "not_a_number",
    ]
    assert len(orjson.dumps(write_errors(errors))) < 12_000


def test_few_errors_are_stored_one_by_one() -> None:
    """As the release before stored all of them, and as it can read."""
    errors = [replace(TEXT, row=at, line=at + 2) for at in range(MIN_SHARED - 1)]

    assert write_errors(errors) == [asdict(error) for error in errors]


def test_what_the_release_before_stored_is_read() -> None:
    """A document for each row, whatever their number."""
    stored = [asdict(replace(TEXT, row=at, line=at + 2)) for at in range(100)]

    assert [(error.row, error.line) for error in read_errors(stored)] == [
        (at, at + 2) for at in range(100)
    ]
    assert count_errors(stored) == 100
    assert (read_errors(None), count_errors(None)) == ((), 0)
