"""Cutting a CSV at line ends: no byte lost, rows and lines counted, memory bounded."""

import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.jobs.csv_chunker import (
    BOM,
    ChunkLimits,
    CsvSlice,
    FirstLine,
    read_first_line,
    split_into_chunks,
)
from shared.domain.csv_layout import is_blank
from shared.domain.errors import BodyTooLarge, RequestInvalid

MIB = 1 << 20
LIMITS = ChunkLimits(piece_bytes=20, line_bytes=100)

lines = st.lists(
    st.sampled_from([b"", b" ", b"\t \t", b"1,2", b"x", b'"a","b"', b" 3,4 ", b"5,6,7,8,9,10,11"]),
    max_size=30,
)
ends = st.sampled_from([b"\n", b"\r\n"])


def pieces(data: bytes, limits: ChunkLimits = LIMITS, *, first_line: int = 2) -> list[CsvSlice]:
    """Cut `data`, which comes as one part."""
    return list(split_into_chunks([data], limits, ",", first_line))


def first(*parts: bytes, most: int = 100) -> FirstLine:
    """Take the first line off `parts`."""
    return read_first_line(iter(parts), most)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Draw a CSV, and the parts that it happens to arrive in."""
    text = b"".join(line + draw(ends) for line in draw(lines))
    if draw(st.booleans()):
        text = text.removesuffix(b"\n").removesuffix(b"\r")
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=10)))
    return text, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(streams(), st.integers(1, 60), st.integers(1, 10))
def test_pieces_are_the_whole_text_in_whole_lines_however_it_arrives(
    stream: tuple[bytes, list[bytes]], piece_bytes: int, piece_lines: int
) -> None:
    """Joined they give every byte; each ends at a line end and knows its lines and rows."""
    text, parts = stream
    limits = ChunkLimits(piece_bytes=piece_bytes, line_bytes=100, piece_lines=piece_lines)

    found = list(split_into_chunks(parts, limits, ",", 7))

    whole = text if text.endswith(b"\n") or not text else text + b"\n"
    assert b"".join(piece.data for piece in found) == whole
    line = 7
    for piece in found:
        assert piece.data.endswith(b"\n")
        assert piece.line_count <= piece_lines
        own = piece.data.split(b"\n")[:-1]
        assert (piece.first_line, piece.line_count) == (line, len(own))
        assert piece.row_count == sum(not is_blank(one) for one in own)
        line += len(own)


@given(streams())
@example((b"a\n", [b"a\n"]))
def test_a_first_line_and_the_rest_are_the_whole_text(
    stream: tuple[bytes, list[bytes]],
) -> None:
    """Only blank lines before it are dropped, and they are counted."""
    text, parts = stream
    rest = iter(parts)
    if is_blank(text):
        with pytest.raises(RequestInvalid, match="empty"):
            read_first_line(rest, 100)
        return

    found = read_first_line(rest, 100)

    after = found.rest + b"".join(rest)
    whole = text if text.endswith(b"\n") else text + b"\n"
    assert whole.endswith((found.raw + after).removesuffix(b"\n") + b"\n")
    before = whole.split(b"\n")[: found.number - 1]
    assert all(map(is_blank, before))
    assert found.raw == whole.split(b"\n")[found.number - 1] + b"\n"
    assert found.text == found.raw.decode().removesuffix("\n").removesuffix("\r")


@pytest.mark.parametrize(
    "parts",
    [
        [BOM + b"Area\n1\n"],
        [BOM[:1], BOM[1:], b"Area\n1\n"],
        [b"", BOM[:2], BOM[2:] + b"Ar", b"ea\n1\n"],
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_first_line(parts: list[bytes]) -> None:
    """Wherever the stream is cut; a spreadsheet writes one, a program does not."""
    assert first(*parts).text == "Area"


def test_only_one_byte_order_mark_is_taken_off() -> None:
    """A second one is text."""
    assert first(BOM, BOM + b"Area\n").text == "\ufeffArea"


def test_blank_lines_before_the_first_count_as_lines() -> None:
    """Line numbers are those of the user's file."""
    found = first(BOM + b"\r\n \t\n\nArea,Perimeter\r\n1,2\r\n")

    assert (found.text, found.number, found.rest) == ("Area,Perimeter", 4, b"1,2\r\n")


def test_a_first_line_without_an_end_is_all_there_is() -> None:
    """A file of one line may end without a line feed."""
    found = first(b"Are", b"a")

    assert (found.text, found.raw, found.rest) == ("Area", b"Area\n", b"")


@pytest.mark.parametrize("data", [b"", b"\n", b" \t\r\n\n", BOM, BOM + b"\n"])
def test_a_csv_of_nothing_is_refused(data: bytes) -> None:
    """There is no first line to read."""
    with pytest.raises(RequestInvalid, match="The CSV is empty"):
        first(data)


def test_a_last_line_without_an_end_gets_one() -> None:
    """So that every line of a stored chunk ends alike."""
    assert [piece.data for piece in pieces(b"1,2\n3,4")] == [b"1,2\n3,4\n"]


def test_blank_lines_are_lines_and_no_rows() -> None:
    """Empty ones, and those of spaces, tabs and a carriage return."""
    (piece,) = pieces(b"\n1,2\r\n\r\n \t\n3,4\n\n", ChunkLimits(piece_bytes=100, line_bytes=100))

    assert (piece.line_count, piece.row_count) == (6, 2)


def test_a_piece_ends_with_the_line_that_fills_it() -> None:
    """Pieces are of about equal size, and none is cut within a line."""
    rows = [b"%019d\n" % at for at in range(5)]

    found = list(split_into_chunks(rows, ChunkLimits(piece_bytes=40, line_bytes=100), ",", 2))

    assert [piece.data for piece in found] == [rows[0] + rows[1], rows[2] + rows[3], rows[4]]
    assert [piece.first_line for piece in found] == [2, 4, 6]


def test_very_short_lines_make_pieces_by_their_number() -> None:
    """A million rows of one wrong character each must not become one chunk of a million errors."""
    found = list(
        split_into_chunks([b"x\n" * 100_000], ChunkLimits(piece_bytes=MIB, line_bytes=9), ",", 2)
    )

    rows = [piece.row_count for piece in found]
    assert (sum(rows), len(rows)) == (100_000, 4)
    assert max(rows) <= 40_000
    assert [piece.first_line for piece in found] == [2 + sum(rows[:at]) for at in range(4)]


@pytest.mark.parametrize("long_at", [0, 50, 99])
def test_a_long_line_among_very_short_ones_is_a_piece_of_its_own_at_worst(long_at: int) -> None:
    """Halving by bytes comes to an end also where one line is most of them."""
    own = [b"x\n"] * 100
    own[long_at] = b"x" * 5000 + b"\n"
    limits = ChunkLimits(piece_bytes=MIB, line_bytes=6000, piece_lines=7)

    found = list(split_into_chunks([b"".join(own)], limits, ",", 1))

    assert b"".join(piece.data for piece in found) == b"".join(own)
    assert max(piece.line_count for piece in found) <= 7


@pytest.mark.parametrize("size", [1, 7, 100, 101, 1000])
@pytest.mark.parametrize("before", [b"", b"1,2\n" * 10])
def test_a_line_may_be_exactly_as_long_as_the_limit(size: int, before: bytes) -> None:
    """Counted without its line feed, and whatever the parts it arrives in."""
    longest, too_long = before + b"x" * 100 + b"\n1\n", before + b"x" * 101 + b"\n1\n"

    assert (
        b"".join(p.data for p in split_into_chunks(_parts(longest, size), LIMITS, ",", 2))
        == longest
    )
    with pytest.raises(BodyTooLarge, match="longer than 100 bytes"):
        list(split_into_chunks(_parts(too_long, size), LIMITS, ",", 2))


@pytest.mark.parametrize("size", [1, 7, 100, 101, 1000])
def test_a_first_line_may_be_exactly_as_long_as_the_limit(size: int) -> None:
    """As any other line."""
    assert first(*_parts(b"\n" + b"x" * 100 + b"\n", size)).text == "x" * 100
    with pytest.raises(BodyTooLarge):
        first(*_parts(b"\n" + b"x" * 101 + b"\n", size))


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    "read",
    [
        lambda stream: read_first_line(stream, 100),
        lambda stream: list(split_into_chunks(stream, LIMITS, ",", 2)),
    ],
    ids=["first line", "other lines"],
)
@pytest.mark.parametrize("size, taken", [(MIB // 4, 1), (40, 3)])
def test_a_line_that_never_ends_is_refused_before_it_fills_the_memory(
    read: Callable[[Iterator[bytes]], object], size: int, taken: int
) -> None:
    """A gigabyte of zeros, which is what a small compressed body can become."""
    stream = iter([bytes(size)] * 4096)

    with pytest.raises(BodyTooLarge):
        read(stream)
    assert sum(1 for _ in stream) == 4096 - taken


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"1,2\n", b"\n1\n"])
def test_memory_is_bounded_by_one_piece(line: bytes) -> None:
    """Whatever the lines are, 20 MiB of them take no more than a few pieces of one MiB."""
    part = line * (MIB // 4 // len(line))
    limits = ChunkLimits(piece_bytes=MIB, line_bytes=1000)
    tracemalloc.start()
    try:
        stream = iter([b"Area\n", *[part] * 80])
        head = read_first_line(stream, 1000)
        total = sum(piece.line_count for piece in split_into_chunks(stream, limits, ",", 2))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert head.text == "Area"
    assert total == 80 * part.count(b"\n")
    assert peak < 5 * MIB


def test_a_flood_of_blank_lines_before_the_first_costs_no_more_than_others() -> None:
    """Time grows with the bytes, not with their square; the body is refused as empty."""
    tracemalloc.start()
    try:
        with pytest.raises(RequestInvalid, match="empty"):
            read_first_line(iter([b"\n" * (MIB // 4)] * 50), 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB


ADVICE = 'Save the file as UTF-8 (in Excel: "CSV UTF-8") and send it again.'
NOT_UTF8 = f"is not UTF-8, so the file is in another encoding, perhaps windows-1252. {ADVICE}"


@pytest.mark.parametrize(
    "data, place",
    [
        (b"1,M\xfcller,2\n", "Line 7, column 2: the byte 0xFC"),
        (b"1,a,2\n\n1,b,\xff\n1,\xfe,2\n", "Line 9, column 3: the byte 0xFF"),
        (b'1,"a,b","\xe9"\n', "Line 7, column 3: the byte 0xE9"),
        (b"a\rb,\xe9\n", "Line 7, column 2: the byte 0xE9"),
        ("1,é,".encode() + b"\xc3\n", "Line 7, column 3: the byte 0xC3"),
        (b"1,2\n" * 8 + b"\xed\xa0\x80,2\n", "Line 15, column 1: the byte 0xED"),
    ],
)
def test_bytes_that_are_not_utf8_are_refused_with_their_place(data: bytes, place: str) -> None:
    """Read otherwise, the ids of two rows could become one, and nobody would know."""
    with pytest.raises(RequestInvalid) as caught:
        pieces(data, first_line=7)

    assert caught.value.detail == f"{place} {NOT_UTF8}"


def test_text_of_every_script_passes() -> None:
    """However its pieces are cut."""
    data = "Müller,北京,😀,\x80,\ufffd,\x1d\n".encode() * 9

    assert b"".join(piece.data for piece in pieces(data)) == data


@pytest.mark.parametrize(
    "data, detail",
    [
        (
            b"Area,M\xfcller\n",
            f"Line 1: the byte 0xFC {NOT_UTF8}",
        ),
        (
            b"\r\n\nGr\xf6\xdfe\n",
            f"Line 3: the byte 0xF6 {NOT_UTF8}",
        ),
        (
            "Area\tWidth\n1\t2\n".encode("utf-16"),
            f"The file is in UTF-16, which is not supported. {ADVICE}",
        ),
        (
            b"\xfe\xff" + "Area\n1\n".encode("utf-16-be"),
            f"The file is in UTF-16, which is not supported. {ADVICE}",
        ),
        (
            "Area\n1\n".encode("utf-16-le"),
            f"Line 1 contains NUL characters, so this is not a CSV in UTF-8. {ADVICE}",
        ),
    ],
    ids=["windows-1252", "blank lines before", "UTF-16", "UTF-16 big-endian", "without a mark"],
)
def test_a_first_line_in_another_encoding_is_refused(data: bytes, detail: str) -> None:
    """The refusal says how to save the file."""
    with pytest.raises(RequestInvalid) as caught:
        first(data)

    assert caught.value.detail == detail


def test_rows_are_limited_and_blank_lines_are_not() -> None:
    """The limit is on all pieces together, and the refusal says what to do."""
    limits = ChunkLimits(piece_bytes=20, line_bytes=100, max_rows=7)

    assert sum(p.row_count for p in pieces(b"1,2\n\n" * 7, limits)) == 7
    with pytest.raises(BodyTooLarge) as caught:
        pieces(b"1,2\n\n" * 8, limits)
    assert caught.value.detail == "The CSV has more than 7 rows; send it as several jobs."
