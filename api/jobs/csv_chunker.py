"""Cuts a stream of bytes into pieces of whole lines, and counts rows and lines on the way."""

import csv
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Final

from shared.domain.csv_layout import count_rows, split_line
from shared.domain.errors import BodyTooLarge, RequestInvalid

BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS_UTF8: Final = 'Save the file as UTF-8 (in Excel: "CSV UTF-8") and send it again.'
_MAYBE_BLANK: Final = re.compile(rb"\n[ \t\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvSlice:
    """Some whole lines: `first_line` counts from 1 in the file, blank lines are no rows."""

    data: bytes
    first_line: int
    line_count: int
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLimits:
    """About how many bytes make a piece, how many lines at most, and how long one line may be.

    A piece of very short lines would cost a worker too much: each may be a row with an error.
    All pieces together may have `max_rows` rows.
    """

    piece_bytes: int
    line_bytes: int
    piece_lines: int = 40_000
    max_rows: int = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLine:
    """The first line that is not blank: its text, its bytes, its number, and what follows."""

    text: str
    raw: bytes
    number: int
    rest: bytes


def read_first_line(stream: Iterator[bytes], most: int) -> FirstLine:
    """Take the first line that is not blank off `stream`, and a byte order mark before it.

    Raises `RequestInvalid` when there is none or it is not UTF-8, `BodyTooLarge` when it is over
    `most` bytes.
    """
    data = b""
    number = 1
    start = _without_mark(stream)
    if start.startswith(_UTF16):
        raise RequestInvalid(f"The file is in UTF-16, which is not read here. {_SAVE_AS_UTF8}")
    for part in chain((start,), stream, (b"\n",)):
        data += part
        blank = _end_of_blank_lines(data)
        number += data.count(b"\n", 0, blank)
        data = data[blank:]
        end = data.find(b"\n")
        if end > most or (end < 0 and len(data) > most):
            raise _line_too_long(most)
        if end >= 0:
            raw = data[: end + 1]
            refuse_invalid_text(raw, "", number)
            if b"\0" in raw:
                raise RequestInvalid(
                    f"Line {number} holds NUL characters, so this is no CSV in UTF-8. "
                    f"{_SAVE_AS_UTF8}"
                )
            text = raw.decode().removesuffix("\n").removesuffix("\r")
            return FirstLine(text=text, raw=raw, number=number, rest=data[end + 1 :])
    raise RequestInvalid("The CSV is empty.")


def _without_mark(stream: Iterator[bytes]) -> bytes:
    """Take the first few bytes off `stream`, and a byte order mark off those."""
    data = b""
    while len(data) < len(BOM) and (part := next(stream, None)) is not None:
        data += part
    return data.removeprefix(BOM)


def _end_of_blank_lines(data: bytes) -> int:
    blank = len(data) - len(data.lstrip(b" \t\r\n"))
    return data.rfind(b"\n", 0, blank) + 1


def _line_too_long(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"A line is longer than {most} bytes; end lines with a line feed.")


def split_into_chunks(
    stream: Iterable[bytes], limits: ChunkLimits, delimiter: str, first_line: int
) -> Iterator[CsvSlice]:
    """Cut `stream`, which begins with line `first_line`, into pieces that end at line ends.

    Memory is bounded by one piece. Raises `BodyTooLarge` for a line or a number of rows over the
    limit, and `RequestInvalid` for bytes that are not UTF-8 and for a quoted field that holds a
    line break, naming the line.
    """
    line = first_line
    total = 0
    whole = _whole_lines(stream, limits)
    for data, lines in chain.from_iterable(_halved(data, limits.piece_lines) for data in whole):
        _refuse_long_lines(data, limits.line_bytes)
        refuse_invalid_text(data, delimiter, line)
        check_quotes(data, delimiter, line)
        rows = count_rows(data) if _may_have_blanks(data) else lines
        total += rows
        if total > limits.max_rows:
            raise BodyTooLarge(
                f"The CSV has more than {limits.max_rows} rows; send it as several jobs."
            )
        # Other requests get a turn: a body may expand into many pieces.
        time.sleep(0)
        yield CsvSlice(data=data, first_line=line, line_count=lines, row_count=rows)
        line += lines


def _whole_lines(stream: Iterable[bytes], limits: ChunkLimits) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = 0
    unbroken = 0
    for part in stream:
        end = part.rfind(b"\n") + 1
        unbroken = len(part) - end if end else unbroken + len(part)
        if unbroken > limits.line_bytes:
            raise _line_too_long(limits.line_bytes)
        parts.append(part)
        size += len(part)
        if end and size >= limits.piece_bytes:
            data = b"".join(parts)
            cut = len(data) - unbroken
            yield data[:cut]
            parts, size = [data[cut:]], unbroken
    rest = b"".join(parts)
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _halved(data: bytes, most: int) -> Iterator[tuple[bytes, int]]:
    """Cut `data`, whole lines, in halves of halves until none has more than `most` lines.

    Gives each with the number of its lines.
    """
    lines = data.count(b"\n")
    if lines <= most:
        yield data, lines
        return
    middle = data.find(b"\n", len(data) // 2) + 1
    if middle == len(data):
        # The last line is the longer half.
        middle = data.rfind(b"\n", 0, -1) + 1
    yield from _halved(data[:middle], most)
    yield from _halved(data[middle:], most)


def _may_have_blanks(data: bytes) -> bool:
    return data[0] in b" \t\r\n" or _MAYBE_BLANK.search(data) is not None


def _refuse_long_lines(data: bytes, most: int) -> None:
    start = 0
    while len(data) - start > most:
        start = data.rfind(b"\n", start, start + most + 1) + 1
        if not start:
            raise _line_too_long(most)


def refuse_invalid_text(data: bytes, delimiter: str, first_line: int) -> None:
    """Raise `RequestInvalid` for the first byte of `data` that is not UTF-8.

    `data` are whole lines, of which the first has the number `first_line`. The column is named
    where the `delimiter` is known.
    """
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        line = first_line + data.count(b"\n", 0, start)
        column = _count_fields(data[start : error.start], delimiter) if delimiter else None
        place = f"Line {line}, column {column}" if column else f"Line {line}"
        raise RequestInvalid(
            f"{place}: the byte 0x{data[error.start]:02X} is not UTF-8, so the file is in another "
            f"encoding, perhaps windows-1252. {_SAVE_AS_UTF8}"
        ) from None


def _count_fields(data: bytes, delimiter: str) -> int:
    try:
        return len(split_line(data.decode("latin-1"), delimiter)) or 1
    except csv.Error:
        return data.count(delimiter.encode()) + 1


def check_quotes(data: bytes, delimiter: str, first_line: int) -> None:
    """Raise `RequestInvalid` for the first line of `data` that ends inside a quoted field.

    `data` are whole lines, of which the first has the number `first_line`.
    """
    if b'"' not in data:
        return
    found = _well_quoted(delimiter).match(data)
    end = found.end() if found else 0
    if end < len(data):
        line = first_line + data.count(b"\n", 0, end)
        raise RequestInvalid(
            f"Line {line} has a quoted field that does not end on that line; a field may not hold "
            "a line break."
        )


@cache
def _well_quoted(delimiter: str) -> re.Pattern[bytes]:
    """Match whole lines in which every field that begins with a quote has its last one there.

    What follows that quote, and quotes within a field that begins otherwise, are text.
    """
    mark = re.escape(delimiter.encode())
    # Possessive, so that a piece of megabytes leaves no trail of places to come back to.
    quoted = rb'"[^"\n]*+(?:""[^"\n]*+)*+"'
    rest = rb"[^\n" + mark + rb"]*+"
    field = rb"(?:" + quoted + rest + rb'|(?!")' + rest + rb")"
    return re.compile(rb"(?:" + field + rb"(?:" + mark + field + rb")*+\n)*+")
