"""Rows from JSON: each is packed, or says what is wrong with it."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.rows import RowError, pack

# Two features, the second of which goes by two names.
COLUMNS = {"area": 0, "perimeter": 1, "perim": 1}
NAMES = ("Area", "Perimeter")

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def floats_of(body: bytes) -> list[float]:
    """Read packed rows as a reader on any machine would: little-endian."""
    return list(struct.unpack(f"<{len(body) // 8}d", body))


def flaw_of(instance: object) -> RowError:
    """Pack `instance` alone and give what is wrong with it."""
    packed = pack([instance], COLUMNS, NAMES)
    (error,) = packed.errors
    assert packed.count == 1
    assert all(math.isnan(value) for value in floats_of(packed.body))
    return error


@pytest.mark.parametrize(
    "instance",
    [
        [1.5, 2],
        {"area": 1.5, "perimeter": 2},
        {"Perimeter": 2, "AREA": 1.5},
        {"area": 1.5, "Perim": 2},
        {" area ": 1.5, "perimeter": 2},
    ],
    ids=["list", "by name", "any order and case", "alias", "spaces"],
)
def test_a_row_is_a_list_or_an_object_by_feature_name(instance: object) -> None:
    """Every accepted spelling ends up in the model's order."""
    packed = pack([instance], COLUMNS, NAMES)

    assert (floats_of(packed.body), packed.errors) == ([1.5, 2.0], ())


NOT_FINITE = "NaN and infinity are not measurements."
NO_ROW = "A row is a list of 2 numbers, or an object by name."


@pytest.mark.parametrize(
    "instance, code, field, detail",
    [
        ([], "empty", None, "The row is empty."),
        ([1.0], "too_few_fields", None, "The row has 1 value; the model takes 2."),
        ([1.0] * 3, "too_many_fields", None, "The row has 3 values; the model takes 2."),
        (["1.0", 2.0], "not_a_number", "0", "A number is needed, not text."),
        ([1.0, True], "not_a_number", "1", "A number is needed, not a boolean."),
        ([1.0, [2.0]], "not_a_number", "1", "A number is needed, not a list."),
        ([1.0, {}], "not_a_number", "1", "A number is needed, not an object."),
        ([1.0, None], "missing", "1", "The value is null."),
        ([1.0, math.nan], "not_finite", "1", NOT_FINITE),
        ([1.0, math.inf], "not_finite", "1", NOT_FINITE),
        ([-math.inf, 1.0], "not_finite", "0", NOT_FINITE),
        ([1.0, 10**400], "not_finite", "1", "The number is too large for a float64."),
        ("1.0,2.0", "not_a_row", None, NO_ROW),
        (1.0, "not_a_row", None, NO_ROW),
        (None, "not_a_row", None, NO_ROW),
        ({}, "too_few_fields", "Area", "Missing: Area, Perimeter."),
        ({"perim": 1.0}, "too_few_fields", "Area", "Missing: Area."),
        ({"area": 1.0, "perimeter": None}, "missing", "perimeter", "The value is null."),
        ({"area": 1.0, "len": 2.0}, "unknown_field", "len", "The model has no feature 'len'."),
        (
            {"area": 1.0, "Area": 2.0},
            "repeated_field",
            "Area",
            "The feature 'Area' is given twice.",
        ),
        (
            {"perim": 1.0, "perimeter": 2.0},
            "repeated_field",
            "perimeter",
            "The feature 'perimeter' is given twice.",
        ),
        (
            {"area": "big", "perimeter": 2.0},
            "not_a_number",
            "area",
            "A number is needed, not text.",
        ),
    ],
)
def test_a_flawed_row_says_what_is_wrong_and_where(
    instance: object, code: str, field: str | None, detail: str
) -> None:
    """Each has a stable code, the field it stands in, and a sentence with the model's names."""
    error = flaw_of(instance)

    assert (error.code, error.field, error.row) == (code, field, 0)
    assert error.detail == detail


def test_a_server_gets_a_turn_while_many_rows_are_packed() -> None:
    """Before the first row and after every few hundred, whether they are good or not."""
    turns: list[int] = []

    pack([[1.0, 2.0], ["x"]] * 1000, COLUMNS, NAMES, lambda: turns.append(1))

    assert len(turns) >= 4


def test_a_flawed_row_leaves_the_others_alone() -> None:
    """The rows keep their places; the flawed one is filled with NaN."""
    packed = pack([[1.0, 2.0], ["x", 0.0], [5.0, 6.0]], COLUMNS, NAMES)

    values = floats_of(packed.body)
    assert values[:2] + values[4:] == [1.0, 2.0, 5.0, 6.0]
    assert all(math.isnan(value) for value in values[2:4])
    assert [error.row for error in packed.errors] == [1]


def test_errors_are_counted_from_the_start_of_their_chunk() -> None:
    """A chunk of rows 1 and 2 has the error of row 2 as its row 1."""
    packed = pack([["x"], [1.0, 2.0], ["y"], ["z"]], COLUMNS, NAMES)

    assert [error.row for error in packed.errors_within(1, 3)] == [1]


@given(st.lists(JSON_VALUES, max_size=5))
def test_whatever_json_holds_is_packed_or_refused_row_by_row(instances: list[Any]) -> None:
    """Packing never raises; the body has a row for each instance, all NaN just where errors say."""
    packed = pack(instances, COLUMNS, NAMES)

    values = floats_of(packed.body)
    flawed = {error.row for error in packed.errors}
    assert packed.count * 2 == len(values) == len(instances) * 2
    for row in range(packed.count):
        pair = values[2 * row : 2 * row + 2]
        wanted = math.isnan if row in flawed else math.isfinite
        assert all(map(wanted, pair))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20))
def test_good_rows_travel_bit_for_bit(rows: list[tuple[float, float]]) -> None:
    """No number is rounded between the client's JSON and the model."""
    instances = json.loads(json.dumps(rows))

    packed = pack(instances, COLUMNS, NAMES)

    assert packed.errors == ()
    assert packed.body == struct.pack(f"<{2 * len(rows)}d", *(x for row in rows for x in row))


@given(st.integers(-(2**1000), 2**1000))
def test_whole_numbers_become_the_nearest_float(number: int) -> None:
    """A client need not write 33958.0; a number beyond float64 is not finite."""
    packed = pack([[number, 0]], COLUMNS, NAMES)

    assert packed.errors == ()
    assert floats_of(packed.body) == [float(number), 0.0]
