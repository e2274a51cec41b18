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
    packed = pack([instance], COLUMNS)
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
    packed = pack([instance], COLUMNS)

    assert (floats_of(packed.body), packed.errors) == ([1.5, 2.0], ())


@pytest.mark.parametrize(
    "instance, code, field",
    [
        ([], "empty", None),
        ([1.0], "too_few_fields", None),
        ([1.0, 2.0, 3.0], "too_many_fields", None),
        (["1.0", 2.0], "not_a_number", "0"),
        ([1.0, True], "not_a_number", "1"),
        ([1.0, [2.0]], "not_a_number", "1"),
        ([1.0, {}], "not_a_number", "1"),
        ([1.0, None], "missing", "1"),
        ([1.0, math.nan], "not_finite", "1"),
        ([1.0, math.inf], "not_finite", "1"),
        ([-math.inf, 1.0], "not_finite", "0"),
        ([1.0, 10**400], "not_finite", "1"),
        ("1.0,2.0", "not_a_row", None),
        (1.0, "not_a_row", None),
        (None, "not_a_row", None),
        ({}, "too_few_fields", "area"),
        ({"perim": 1.0}, "too_few_fields", "area"),
        ({"area": 1.0, "perimeter": None}, "missing", "perimeter"),
        ({"area": 1.0, "length": 2.0}, "unknown_field", "length"),
        ({"area": 1.0, "Area": 2.0}, "repeated_field", "Area"),
        ({"perim": 1.0, "perimeter": 2.0}, "repeated_field", "perimeter"),
        ({"area": "big", "perimeter": 2.0}, "not_a_number", "area"),
    ],
)
def test_a_flawed_row_says_what_is_wrong_and_where(
    instance: object, code: str, field: str | None
) -> None:
    """Each flaw has a stable code, the field it stands in, and a sentence."""
    error = flaw_of(instance)

    assert (error.code, error.field, error.row) == (code, field, 0)
    assert error.detail.endswith(".")


def test_a_flawed_row_leaves_the_others_alone() -> None:
    """The rows keep their places; the flawed one is filled with NaN."""
    packed = pack([[1.0, 2.0], ["x", 0.0], [5.0, 6.0]], COLUMNS)

    values = floats_of(packed.body)
    assert values[:2] + values[4:] == [1.0, 2.0, 5.0, 6.0]
    assert all(math.isnan(value) for value in values[2:4])
    assert [error.row for error in packed.errors] == [1]


def test_errors_are_counted_from_the_start_of_their_chunk() -> None:
    """A chunk of rows 1 and 2 has the error of row 2 as its row 1."""
    packed = pack([["x"], [1.0, 2.0], ["y"], ["z"]], COLUMNS)

    assert [error.row for error in packed.errors_within(1, 3)] == [1]


@given(st.lists(JSON_VALUES, max_size=5))
def test_whatever_json_holds_is_packed_or_refused_row_by_row(instances: list[Any]) -> None:
    """Packing never raises; the body has a row for each instance, all NaN just where errors say."""
    packed = pack(instances, COLUMNS)

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

    packed = pack(instances, COLUMNS)

    assert packed.errors == ()
    assert packed.body == struct.pack(f"<{2 * len(rows)}d", *(x for row in rows for x in row))


@given(st.integers(-(2**1000), 2**1000))
def test_whole_numbers_become_the_nearest_float(number: int) -> None:
    """A client need not write 33958.0; a number beyond float64 is not finite."""
    packed = pack([[number, 0]], COLUMNS)

    assert packed.errors == ()
    assert floats_of(packed.body) == [float(number), 0.0]
