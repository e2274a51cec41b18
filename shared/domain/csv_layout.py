"""How the columns of a CSV lie: read once from its first line, and used for every later one."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from shared.domain.errors import FieldError, RequestInvalid
from shared.domain.numerals import WHITESPACE, is_number, number_error, parse_number

DELIMITERS: Final = (",", ";", "\t")
ID_COLUMN: Final = "id"
# Every byte but a line feed becomes an x.
_MARKS: Final = bytes(byte if byte == ord("\n") else ord("x") for byte in range(256))
# Possessive: what follows a run of blank lines is found without going back.
_ROW: Final = re.compile(rb"(?:[ \t\r]*+\n)*+([^\n]*+)\n?")
_NUMBERED: Final = re.compile(r"(.*?)(\d{1,9})", re.ASCII | re.DOTALL)
# So many consecutive whole numbers are no row of data, wherever they begin and in any order.
_MIN_RUN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvLayout:
    """Where a CSV keeps what the model needs.

    `positions` gives for each feature, in the model's order, its column, from 0; `id_position`
    the column whose text is echoed, if there is one. `names` are the header's own, and empty
    for a CSV without a header.
    """

    delimiter: str
    width: int
    positions: tuple[int, ...]
    id_position: int | None
    names: tuple[str, ...]

    def column_name(self, position: int) -> str:
        """Name the column at `position`: by the header, or else by its number from 1."""
        return self.names[position] if self.names else f"column {position + 1}"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a layout back from the database."""
        return cls(
            delimiter=document["delimiter"],
            width=document["width"],
            positions=tuple(document["positions"]),
            id_position=document["id_position"],
            names=tuple(document["names"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the first line of a CSV says: the layout, what to warn of, and whether it is data."""

    layout: CsvLayout
    warnings: tuple[str, ...]
    is_data: bool


def is_blank(line: bytes) -> bool:
    """Return whether `line` is no row at all: empty, or only spaces and tabs."""
    return not line.strip(b" \t\r\n")


def count_rows(data: bytes) -> int:
    """Count the lines of `data` that are not blank; each ends in a line feed."""
    # Without blanks, and with one sign for all else, such a line is what ends in that sign.
    return data.translate(_MARKS, b" \t\r").count(b"x\n")


def iter_rows(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each line of `data` that is not blank, without its line feed, and its number from 0.

    Blank lines cost next to nothing, however many there are.
    """
    if data.endswith(b"\n") and count_rows(data) == data.count(b"\n"):
        yield from enumerate(data.removesuffix(b"\n").split(b"\n"))
        return
    number = 0
    for found in _ROW.finditer(data):
        number += data.count(b"\n", found.start(), found.start(1))
        if found[1]:
            yield number, found[1]
        number += 1


def split_line(line: str, delimiter: str) -> list[str]:
    """Cut one line into its fields; a quoted field may hold the delimiter, `""` is one quote."""
    if '"' not in line and "\r" not in line:
        # By far the most lines; the reader says the same, more slowly.
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])


def read_header(line: str, columns: Mapping[str, int], names: Sequence[str]) -> Header:
    """Read the first line of a CSV (without its line end).

    `columns` maps every accepted spelling, in lower case, to a feature's position; `names` are
    the features in the model's order. Raises `RequestInvalid`, which names every column that is
    missing, and those that are given twice or unknown.
    """
    if "\r" in line:
        raise RequestInvalid("The lines must end in LF or CR LF; the first one holds a lone CR.")
    delimiter = max(DELIMITERS, key=lambda mark: _matches(split_line(line, mark), columns))
    fields = [field.strip(WHITESPACE) for field in split_line(line, delimiter)]
    if not _matches(fields, columns):
        return _without_header(line, names)
    found: dict[int, int] = {}
    extra: list[str] = []
    repeated: list[str] = []
    id_position = None
    for at, field in enumerate(fields):
        feature = columns.get(field.lower())
        if feature is None and field.lower() == ID_COLUMN and id_position is None:
            id_position = at
        elif feature is None:
            extra.append(field)
        elif feature in found:
            repeated.append(field)
        else:
            found[feature] = at
    missing = [name for at, name in enumerate(names) if at not in found]
    _refuse(missing, repeated, extra)
    layout = CsvLayout(
        delimiter=delimiter,
        width=len(fields),
        positions=tuple(found[at] for at in range(len(names))),
        id_position=id_position,
        names=tuple(fields),
    )
    shown = [name or "one without a name" for name in extra]
    warnings = (f"Columns not used: {_list(shown)}.",) if extra else ()
    return Header(layout=layout, warnings=warnings, is_data=False)


def _matches(fields: Sequence[str], columns: Mapping[str, int]) -> int:
    return sum(field.strip(WHITESPACE).lower() in columns for field in fields)


def _without_header(line: str, names: Sequence[str]) -> Header:
    for delimiter in DELIMITERS:
        fields = split_line(line, delimiter)
        if _are_column_numbers(fields, len(names)):
            raise _column_numbers(fields, names)
        if len(fields) == len(names) and all(map(_is_numeric, fields)):
            layout = CsvLayout(
                delimiter=delimiter,
                width=len(names),
                positions=tuple(range(len(names))),
                id_position=None,
                names=(),
            )
            warning = "There is no header: the columns were taken in the model's order."
            return Header(layout=layout, warnings=(warning,), is_data=True)
    detail = (
        f"The first line is neither a header with the model's columns nor {len(names)} numbers. "
        f"The columns are {_list(names)}; separate them by comma, semicolon or tab."
    )
    raise RequestInvalid(detail, faults=_all_missing(names))


def _are_column_numbers(fields: Sequence[str], width: int) -> bool:
    """Return whether `fields` number the columns: `0,1,2,…`, `V1,V2,…`, with an index or without.

    Programs write such a line for a table whose columns have no names.
    """
    cells = [field.strip(WHITESPACE) for field in fields]
    # An index before them goes by any name, or by none.
    with_index = len(cells) > width and len(cells) > 1
    return _is_run(cells) or (with_index and _is_run(cells[1:]))


def _is_run(cells: Sequence[str]) -> bool:
    if all(map(is_number, cells)):
        prefixes, numbers = {""}, [parse_number(cell) for cell in cells]
    else:
        found = [one for cell in cells if (one := _NUMBERED.fullmatch(cell))]
        prefixes, numbers = {one[1].lower() for one in found}, [float(one[2]) for one in found]
    first = min(numbers, default=0)
    run = [first + at for at in range(len(cells))]
    if len(prefixes) > 1 or sorted(numbers) != run:
        return False
    if prefixes != {""} and len(cells) == 1:
        # Any name may end in a number.
        return False
    return len(cells) >= _MIN_RUN or (numbers == run and first in {0, 1})


def _column_numbers(fields: Sequence[str], names: Sequence[str]) -> RequestInvalid:
    shown = [field.strip(WHITESPACE) for field in fields]
    detail = (
        f"The first line only numbers the columns ({_list(shown)}). Replace it with a header that "
        f"names every column; the model's are {_list(names)}. If it is a row of data, put that "
        "header before it."
    )
    return RequestInvalid(detail, faults=_all_missing(names))


def _all_missing(names: Sequence[str]) -> tuple[FieldError, ...]:
    return tuple(_fault(name, "missing_column", f"{name} is missing.") for name in names)


def _refuse(missing: Sequence[str], repeated: Sequence[str], extra: Sequence[str]) -> None:
    if not missing and not repeated:
        return
    faults = [_fault(name, "missing_column", f"{name} is missing.") for name in missing]
    faults += [_fault(name, "repeated_column", f"{name} is there twice.") for name in repeated]
    faults += [_fault(name, "unknown_column", f"{name} is no feature.") for name in extra]
    parts = (("Missing", missing), ("Given twice", repeated), ("Unknown", extra))
    detail = " ".join(f"{title}: {_list(listed)}." for title, listed in parts if listed)
    raise RequestInvalid(f"The header does not fit the model. {detail}", faults=tuple(faults))


def _fault(column: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=column[:80], code=code, detail=detail[:200])


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")  # noqa: PLR2004 - as above


def _is_numeric(text: str) -> bool:
    """Return whether `text` is a number, or NaN or infinity in its place."""
    error = number_error(text)
    return error is None or error[0] == "not_finite"
