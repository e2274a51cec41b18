"""What counts as a number in text: one verdict, whoever asks, and never an exception."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.numerals import (
    WHITESPACE,
    is_number,
    number_error,
    parse_number,
    parse_numbers,
)
from tests.csv_files import NO_NUMBERS, ODD_NUMBERS, flaw

# What str.strip, float and this definition see differently, and what numbers are made of.
ODD_CHARACTERS = (
    "\t\v\f\r\x1c\x1d\x1e\x1f\x85 \xa0\u1680\u2003\u2028\u2029\u202f\u3000\ufeff\u200b\0"
    "0123456789\u0663\uff11+-.eE_xainfty,'\""
)
texts = st.text(st.sampled_from(ODD_CHARACTERS), max_size=12) | st.text(max_size=12)


@given(texts)
def test_every_text_has_one_verdict(text: str) -> None:
    """The check, the parser of one and the parser of many agree with a straightforward reader."""
    error = number_error(text)

    assert (error[0] if error else None) == flaw(text)
    assert is_number(text) == (error is None)
    if error is None:
        assert math.isfinite(parse_number(text))
    fast = parse_numbers([text])
    assert fast is None or (error is None and fast == [parse_number(text)])


@given(st.lists(texts, min_size=1, max_size=5))
def test_many_texts_are_parsed_at_once_only_where_each_is_a_number(cells: list[str]) -> None:
    """A doubt about one of them is a doubt about all."""
    fast = parse_numbers(cells)

    if fast is not None:
        assert fast == [parse_number(cell) for cell in cells if is_number(cell)]
        assert len(fast) == len(cells)


def test_every_character_beside_a_number_is_judged_alike() -> None:
    """The whole basic plane: white space around a number is allowed, all else is not."""
    for code in range(1 << 16):
        text = f"{chr(code)}1{chr(code)}"
        error = number_error(text)
        assert (error[0] if error else None) == flaw(text), hex(code)


@pytest.mark.parametrize(
    "text, error",
    [
        ("", ("missing", "The value is missing.")),
        (" \t\xa0", ("missing", "The value is missing.")),
        ("0.999\x1d", ("not_a_number", "'0.999\\x1d' is not a number.")),
        ("1,5", ("not_a_number", "'1,5' is not a number. Write decimals with a point.")),
        ("nan", ("not_finite", "NaN and infinity are not measurements.")),
        ("-Infinity", ("not_finite", "NaN and infinity are not measurements.")),
        ("1e999", ("not_finite", "The number is too large for a float64.")),
        ("x" * 50, ("not_a_number", f"'{'x' * 40}' is not a number.")),
    ],
)
def test_an_error_is_a_code_and_a_sentence(text: str, error: tuple[str, str]) -> None:
    """The same for a cell of a CSV, whether a job or a report asks."""
    assert number_error(text) == error


def test_the_odd_numbers_of_other_tests_are_judged_as_they_expect() -> None:
    """What they take for numbers are numbers, and the rest is not."""
    assert all(map(is_number, ODD_NUMBERS))
    assert not any(map(is_number, NO_NUMBERS))
    assert set(WHITESPACE) < set(map(chr, range(0x3001)))
