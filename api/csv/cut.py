"""Cuts a stream of bytes into pieces of whole lines, and counts rows and lines on the way."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Final

from shared.domain.csv_layout import is_blank
from shared.domain.errors import BodyTooLarge, RequestInvalid

_BLANK_LINE: Final = re.compile(rb"(?m)^[ \t\r]*\n")
_MAYBE_BLANK: Final = (b"\n\n", b"\n\r", b"\n ", b"\n\t")
BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some whole lines: `first_line` counts from 1 in the file, blank lines are no rows."""

    data: bytes
    first_line: int
    line_count: int
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CutLimits:
    """About how many bytes make a piece, and how long one line may be."""

    piece_bytes: int
    line_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLine:
    """The first line that is not blank: its text, its bytes, its number, and what follows."""

    text: str
    raw: bytes
    number: int
    rest: bytes


def take_first_line(stream: Iterator[bytes], most: int) -> FirstLine:
    """Take the first line that is not blank off `stream`, and a byte order mark before it.

    Raises `RequestInvalid` when there is none, `BodyTooLarge` when it is over `most` bytes.
    """
    data = b""
    number = 1
    for part in chain(stream, (b"\n",)):
        data += part
        if number == 1 and len(data) >= len(BOM):
            data = data.removeprefix(BOM)
        while b"\n" in data:
            line, _, data = data.partition(b"\n")
            if not is_blank(line):
                text = line.decode("utf-8", "replace").removesuffix("\r")
                return FirstLine(text=text, raw=line + b"\n", number=number, rest=data)
            number += 1
        if len(data) > most:
            raise _line_too_long(most)
    raise RequestInvalid("The CSV is empty.")


def _line_too_long(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"A line is longer than {most} bytes; end lines with a line feed.")


def cut_lines(
    stream: Iterable[bytes], limits: CutLimits, delimiter: str, first_line: int
) -> Iterator[Piece]:
    """Cut `stream`, which begins with line `first_line`, into pieces that end at line ends.

    Memory is bounded by one piece. Raises `BodyTooLarge` for a line over the limit and
    `RequestInvalid` for a quoted field that holds a line break, naming the line.
    """
    line = first_line
    for data in _whole_lines(stream, limits):
        _refuse_broken_quotes(data, delimiter, line)
        lines = data.count(b"\n")
        piece = Piece(
            data=data, first_line=line, line_count=lines, row_count=lines - _blank_lines(data)
        )
        line += lines
        yield piece


def _whole_lines(stream: Iterable[bytes], limits: CutLimits) -> Iterator[bytes]:
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


def _blank_lines(data: bytes) -> int:
    starts_blank = data[:1] in {b"\n", b"\r", b" ", b"\t"}
    if not starts_blank and not any(mark in data for mark in _MAYBE_BLANK):
        return 0
    return len(_BLANK_LINE.findall(data))


def _refuse_broken_quotes(data: bytes, delimiter: str, first_line: int) -> None:
    if b'"' not in data or _well_quoted(delimiter).fullmatch(data):
        return
    for at, line in enumerate(data.split(b"\n")):
        if b'"' in line and _ends_inside_quotes(line, delimiter):
            raise RequestInvalid(
                f"Line {first_line + at} has a quoted field that does not end on that line; "
                "a field may not hold a line break."
            )


@cache
def _well_quoted(delimiter: str) -> re.Pattern[bytes]:
    """Match whole lines in which every quoted field begins, ends and stays on its line."""
    mark = re.escape(delimiter.encode())
    # Possessive, so that a piece of megabytes leaves no trail of places to come back to.
    field = rb'(?:"[^"\n]*+"|[^"\n' + mark + rb"]*+)"
    return re.compile(rb"(?:" + field + rb"(?:" + mark + field + rb")*+\n)*+")


def _ends_inside_quotes(line: bytes, delimiter: str) -> bool:
    # The reader keeps a line end only when it stands inside a quoted field.
    text = line.decode("utf-8", "replace") + "\n"
    fields = next(csv.reader([text], delimiter=delimiter), [])
    return bool(fields) and fields[-1].endswith("\n")
