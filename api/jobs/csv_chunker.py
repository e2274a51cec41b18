"""Split a stream of CSV into chunks that end at line ends, and count their rows and lines."""

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
    """Complete lines of a CSV; `first_line` counts from 1 in the file, blank lines are no rows."""

    data: bytes
    first_line: int
    line_count: int
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLimits:
    """The approximate size and maximum number of lines of a chunk, and limits of line and file.

    Lines are limited because a chunk of very short lines costs a worker too much: each may be a
    row with an error. `max_rows` limits the rows of all chunks together.
    """

    piece_bytes: int
    line_bytes: int
    piece_lines: int = 40_000
    max_rows: int = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLine:
    """The first line that is not blank: its text, bytes and number, and the bytes after it."""

    text: str
    raw: bytes
    number: int
    rest: bytes


def read_first_line(stream: Iterator[bytes], max_bytes: int) -> FirstLine:
    """Read the first line of `stream` that is not blank; skip a byte order mark.

    Raise `RequestInvalid` when there is none or it is not UTF-8, `BodyTooLarge` when it is longer
    than `max_bytes`.
    """
    data = b""
    number = 1
    start = _without_mark(stream)
    if start.startswith(_UTF16):
        raise RequestInvalid(f"The file is in UTF-16, which is not supported. {_SAVE_AS_UTF8}")
    for part in chain((start,), stream, (b"\n",)):
        data += part
        blank = _end_of_blank_lines(data)
        number += data.count(b"\n", 0, blank)
        data = data[blank:]
        end = data.find(b"\n")
        if end > max_bytes or (end < 0 and len(data) > max_bytes):
            raise _line_too_long(max_bytes)
        if end >= 0:
            raw = data[: end + 1]
            check_encoding(raw, "", number)
            if b"\0" in raw:
                raise RequestInvalid(
                    f"Line {number} contains NUL characters, so this is not a CSV in UTF-8. "
                    f"{_SAVE_AS_UTF8}"
                )
            text = raw.decode().removesuffix("\n").removesuffix("\r")
            return FirstLine(text=text, raw=raw, number=number, rest=data[end + 1 :])
    raise RequestInvalid("The CSV is empty.")


def _without_mark(stream: Iterator[bytes]) -> bytes:
    """Return the first few bytes of `stream` without a byte order mark."""
    data = b""
    while len(data) < len(BOM) and (part := next(stream, None)) is not None:
        data += part
    return data.removeprefix(BOM)


def _end_of_blank_lines(data: bytes) -> int:
    blank = len(data) - len(data.lstrip(b" \t\r\n"))
    return data.rfind(b"\n", 0, blank) + 1


def _line_too_long(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"A line is longer than {max_bytes} bytes; end lines with a line feed.")


def split_into_chunks(
    stream: Iterable[bytes], limits: ChunkLimits, delimiter: str, first_line: int
) -> Iterator[CsvSlice]:
    """Split `stream`, which begins with line `first_line`, into chunks that end at line ends.

    Memory is bounded by one chunk. Raise `BodyTooLarge` for a line or a number of rows over the
    limit, and `RequestInvalid`, naming the line, for bytes that are not UTF-8 and for a quoted
    field that contains a line break.
    """
    line = first_line
    total = 0
    pieces = _complete_lines(stream, limits)
    for data, lines in chain.from_iterable(_halve(data, limits.piece_lines) for data in pieces):
        _check_line_lengths(data, limits.line_bytes)
        check_encoding(data, delimiter, line)
        check_quotes(data, delimiter, line)
        rows = count_rows(data) if _may_have_blanks(data) else lines
        total += rows
        if total > limits.max_rows:
            raise BodyTooLarge(
                f"The CSV has more than {limits.max_rows} rows; send it as several jobs."
            )
        # Yield to other requests: a body may expand into many chunks.
        time.sleep(0)
        yield CsvSlice(data=data, first_line=line, line_count=lines, row_count=rows)
        line += lines


def _complete_lines(stream: Iterable[bytes], limits: ChunkLimits) -> Iterator[bytes]:
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


def _halve(data: bytes, max_lines: int) -> Iterator[tuple[bytes, int]]:
    """Split `data`, complete lines, in halves until none has more than `max_lines` lines.

    Yield each part with its number of lines.
    """
    lines = data.count(b"\n")
    if lines <= max_lines:
        yield data, lines
        return
    middle = data.find(b"\n", len(data) // 2) + 1
    if middle == len(data):
        # The last line is the longer half.
        middle = data.rfind(b"\n", 0, -1) + 1
    yield from _halve(data[:middle], max_lines)
    yield from _halve(data[middle:], max_lines)


def _may_have_blanks(data: bytes) -> bool:
    return data[0] in b" \t\r\n" or _MAYBE_BLANK.search(data) is not None


def _check_line_lengths(data: bytes, max_bytes: int) -> None:
    start = 0
    while len(data) - start > max_bytes:
        start = data.rfind(b"\n", start, start + max_bytes + 1) + 1
        if not start:
            raise _line_too_long(max_bytes)


def check_encoding(data: bytes, delimiter: str, first_line: int) -> None:
    """Raise `RequestInvalid` for the first byte of `data` that is not UTF-8.

    `data` consists of complete lines, of which the first has the number `first_line`. The error
    names the column if the `delimiter` is not empty.
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

    `data` consists of complete lines, of which the first has the number `first_line`.
    """
    if b'"' not in data:
        return
    found = _well_quoted(delimiter).match(data)
    end = found.end() if found else 0
    if end < len(data):
        line = first_line + data.count(b"\n", 0, end)
        raise RequestInvalid(
            f"Line {line} has a quoted field that does not end on that line; a field may not "
            "contain a line break."
        )


@cache
def _well_quoted(delimiter: str) -> re.Pattern[bytes]:
    """Return a pattern of complete lines in which every quoted field ends on its line.

    Text after the closing quote, and quotes in a field that does not begin with one, are literal.
    """
    mark = re.escape(delimiter.encode())
    # Possessive quantifiers: a chunk of megabytes must not fill memory with backtracking states.
    quoted = rb'"[^"\n]*+(?:""[^"\n]*+)*+"'
    rest = rb"[^\n" + mark + rb"]*+"
    field = rb"(?:" + quoted + rest + rb'|(?!")' + rest + rb")"
    return re.compile(rb"(?:" + field + rb"(?:" + mark + field + rb")*+\n)*+")
