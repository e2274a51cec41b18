"""Quotes in a CSV that is cut at line ends: a field that ends on another line is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.jobs.csv_chunker import ChunkLimits, CsvSlice, check_quotes, split_into_chunks
from shared.domain.errors import RequestInvalid

LIMITS = ChunkLimits(piece_bytes=20, line_bytes=100)


def pieces(data: bytes) -> list[CsvSlice]:
    """Cut `data`, which begins with line 2, into small pieces."""
    return list(split_into_chunks([data], LIMITS, ",", 2))


@pytest.mark.parametrize(
    "text, line",
    [
        (b'1,"a\nb",2\n', 2),
        (b'1,2\n3,4\n5,"a\n', 4),
        (b'"a\r\nb"\r\n', 2),
        (b'1,"a""\n', 2),
        (b'1,"a",2\n\n"",""\n3,"b,c\nd"\n', 5),
        (b'1\r2,"a\nb"\n', 2),
    ],
)
def test_a_line_break_within_quotes_is_refused_with_its_line(text: bytes, line: int) -> None:
    """Cutting at line ends would tear such a field apart, and shift all that follows."""
    with pytest.raises(RequestInvalid, match=rf"^Line {line} has a quoted field"):
        pieces(text)


@pytest.mark.parametrize(
    "text",
    [
        b'"1","2"\n',
        b'"1","2"\r\n"3","4"\r\n',
        b'"a,b",2\n',
        b'"a ""b"" c",2\n',
        b'5" pipe,2\n',
        b'a"b"c,"x"y\n',
        b'1\r2,"a"\n',
        b'"",""\n',
    ],
)
def test_quotes_that_end_on_their_line_are_left_alone(text: bytes) -> None:
    """Also those in the middle of a field, which are text, and beside a stray carriage return."""
    assert b"".join(piece.data for piece in pieces(text)) == text


def test_the_delimiter_says_where_a_quoted_field_can_begin() -> None:
    """In a CSV with semicolons, a quote after a comma is text."""
    check_quotes(b'1,"a;2\n', ";", 1)
    with pytest.raises(RequestInvalid, match="Line 1 "):
        check_quotes(b'1;"a,2\n', ";", 1)


@given(
    st.lists(st.text(alphabet='a1,;"\r', max_size=12).map(lambda text: text.encode()), max_size=8),
    st.sampled_from([",", ";"]),
)
def test_quotes_are_judged_as_the_csv_module_judges_them(
    lines: list[bytes], delimiter: str
) -> None:
    """Read a character at a time: a quote opens at a field's start; two inside are one."""
    data = b"".join(line + b"\n" for line in lines)
    broken = [at for at, line in enumerate(lines) if _open_at_end(line.decode(), delimiter)]

    if broken:
        with pytest.raises(RequestInvalid, match=rf"^Line {broken[0] + 1} "):
            check_quotes(data, delimiter, 1)
    else:
        check_quotes(data, delimiter, 1)


def _open_at_end(line: str, delimiter: str) -> bool:
    inside, at_start, at = False, True, 0
    while at < len(line):
        mark = line[at]
        if inside and line[at : at + 2] == '""':
            at += 1
        elif inside and mark == '"':
            inside = False
        elif at_start and mark == '"':
            inside = True
        at_start = not inside and mark == delimiter
        at += 1
    return inside
